// The official client for Node against the server at argv[2]; prints one JSON object, which test_node_client.py reads.
import OpenAI from "openai";

const [baseURL, endToken] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "any", maxRetries: 0 });
const completions = client.chat.completions;
const messages = [{ role: "user", content: "Hello!" }];
const hello = { model: "tiny-chat", messages, seed: 1 };
const endless = { ...hello, logit_bias: { [endToken]: -100 } };

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

async function refusal(call) {
  try {
    await call();
  } catch (error) {
    const { status, type, param, code, requestID } = error;
    return { class: error.constructor.name, isAPIError: error instanceof OpenAI.APIError, status, type, param, code, requestID };
  }
  return null;
}

async function runner() {
  const deltas = [];
  const stream = completions.stream({ ...hello, logprobs: true, stream_options: { include_usage: true } });
  stream.on("content", (delta) => deltas.push(delta));
  const content = await stream.finalContent();
  return { content, deltas, completion: await stream.finalChatCompletion(), usage: await stream.totalUsage() };
}

async function raw() {
  const { data, response, request_id } = await completions.create(hello).withResponse();
  return { id: data._request_id, request_id, header: response.headers.get("x-request-id"), status: response.status };
}

// Left in the middle, in each of the ways that there are.
async function aborted() {
  const seen = {};
  const broken = await completions.create({ ...endless, stream: true });
  for await (const chunk of broken) {
    seen.broken = chunk.choices.length;
    break;
  }
  const controlled = await completions.create({ ...endless, stream: true });
  seen.controlled = 0;
  for await (const chunk of controlled) {
    seen.controlled += chunk.choices.length;
    controlled.controller.abort();
  }
  const helper = completions.stream(endless);
  helper.on("content", () => helper.abort());
  seen.helper = (await refusal(() => helper.finalContent())).class;
  const signal = AbortSignal.timeout(1);
  seen.plain = (await refusal(() => completions.create({ ...endless, n: 128 }, { signal }))).class;
  return seen;
}

async function models() {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  return { names, one: await client.models.retrieve("tiny-chat") };
}

// How often a refused request is sent by a client that would try again.
async function tries() {
  let count = 0;
  const counting = (url, init) => (count++, fetch(url, init));
  const patient = new OpenAI({ baseURL, apiKey: "any", maxRetries: 2, fetch: counting });
  await refusal(() => patient.chat.completions.create({ ...hello, temperature: 3 }));
  return count;
}

const nulls = { temperature: null, top_p: null, n: null, stream: null, stop: null, max_tokens: null, logit_bias: null };

const results = {
  plain: await completions.create(hello),
  nulls: await completions.create({ ...hello, ...nulls }),
  streamed: await collect(await completions.create({ ...hello, stream: true })),
  several: await collect(await completions.create({ ...hello, n: 3, temperature: 1.5, stream: true })),
  severalPlain: await completions.create({ ...hello, n: 3, temperature: 1.5 }),
  runner: await runner(),
  usage: await collect(await completions.create({ ...hello, stream: true, stream_options: { include_usage: true } })),
  logprobs: await completions.create({ ...hello, logprobs: true, top_logprobs: 2 }),
  raw: await raw(),
  models: await models(),
  tries: await tries(),
  refusals: {
    temperature: await refusal(() => completions.create({ ...hello, temperature: 3 })),
    streamed: await refusal(() => completions.create({ ...hello, temperature: 3, stream: true })),
    runner: await refusal(() => completions.stream({ ...hello, temperature: 3 }).finalContent()),
    field: await refusal(() => completions.create({ ...hello, best_of: 2 })),
    model: await refusal(() => completions.create({ ...hello, model: "gpt-3.5-turbo" })),
    path: await refusal(() => client.embeddings.create({ model: "tiny-chat", input: "Hello!" })),
    method: await refusal(() => completions.list()),
    type: await refusal(() => completions.create(hello, { headers: { "Content-Type": "text/plain" } })),
  },
  aborted: await aborted(),
};
console.log(JSON.stringify(results));
