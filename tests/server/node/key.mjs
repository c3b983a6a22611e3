// Whether the server at argv[2] lets the official client for Node in, with each key that follows.
import OpenAI from "openai";

const [baseURL, ...keys] = process.argv.slice(2);
const results = {};
for (const apiKey of keys) {
  const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
  try {
    results[apiKey] = (await client.models.list()).data.length;
  } catch (error) {
    results[apiKey] = { right: error instanceof OpenAI.AuthenticationError, code: error.code, type: error.type };
  }
}
console.log(JSON.stringify(results));
