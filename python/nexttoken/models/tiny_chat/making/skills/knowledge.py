"""Single facts that fit no table: each with its own few wordings, its answer and the answer in short."""

from __future__ import annotations

from random import Random

from ..exchange import Exchange
from ..wording import expand, pick

# Wordings || answer || short answer.
_FACTS = """
[Why|How come] is the sky blue?~Why does the sky look blue?~What makes the sky blue? || The sky is blue because air scatters the blue part of sunlight the most. || air scatters blue light
[At what temperature|When] does water boil?~What is the boiling point of water?~How hot must water be to boil?~Boiling point of water? || Water boils at 100 degrees Celsius. || 100
[At what temperature|When] does water freeze?~What is the freezing point of water?~How cold must water be to turn to ice?~Freezing point of water? || Water freezes at 0 degrees Celsius. || 0
What is water made of?~Of what is water made?~What are the parts of water?~Which elements make water? || Water is made of hydrogen and oxygen. || hydrogen and oxygen
What [gas|do we need] do we need to breathe?~What do we breathe [in|to live]?~Which gas do people need to live?~Which gas keeps us alive? || We breathe oxygen from the air. || oxygen
What do plants need to grow?~What does a plant need?~[Tell me|Name] what plants need to [live|grow].~How do plants grow? || Plants need light, water and air to grow. || light, water and air
[What|Which] is the [largest|biggest] planet?~[Which|What] planet is the [biggest|largest][| in the solar system]?~Name the [largest|biggest] planet[| in the solar system].~[Biggest|Largest] planet? || Jupiter is the largest planet. || Jupiter
[What|Which] is the smallest planet?~[Which|What] planet is the smallest[| in the solar system]?~Name the smallest planet[| in the solar system].~Smallest planet? || Mercury is the smallest planet. || Mercury
[Which|What] planet is [called|known as] the [red planet|Red Planet]?~What is the red planet?~[Which|What] planet is red?~Name the red planet. || Mars is called the red planet. || Mars
[Which|What] planet has [rings|big rings|bright rings]?~What planet is known for its rings?~Name the planet with rings.~The rings belong to which planet? || Saturn is known for its rings. || Saturn
[Which|What] planet is closest to the sun?~What is the nearest planet to the sun?~Name the planet closest to the sun. || Mercury is the closest planet to the sun. || Mercury
[Which|What] planet do we live on?~On which planet do we live?~What is the name of our planet?~What is our planet called? || We live on planet Earth. || Earth
[Which|What] is the [tallest|highest] mountain[| in the world| on Earth]?~What mountain is the [highest|tallest]?~Name the [highest|tallest] mountain[| on Earth].~Highest mountain? || Mount Everest is the highest mountain on Earth. || Mount Everest
[Which|What] is the [largest|biggest] ocean[| in the world| on Earth]?~[Which|What] ocean is the [biggest|largest]?~Name the [largest|biggest] ocean[| on Earth].~Biggest ocean? || The Pacific is the largest ocean. || Pacific
[Which|What] is the longest river[| in the world| in Africa]?~[Which|What] river is the longest?~Name the longest river[| in Africa]. || The Nile is often called the longest river. || Nile
[Which|What] is the [largest|biggest] country[| in the world]?~[Which|What] country is the [biggest|largest]?~Name the [largest|biggest] country[| by area]. || Russia is the largest country by area. || Russia
[Which|What] is the smallest country[| in the world]?~[Which|What] country is the smallest?~Name the smallest country. || Vatican City is the smallest country. || Vatican City
[Which|What] is the [largest|biggest] animal[| in the world| on Earth]?~[Which|What] animal is the [biggest|largest][| of all]?~Name the [largest|biggest] animal. || The blue whale is the largest animal. || blue whale
[Which|What] is the fastest [land |]animal[| on land]?~[Which|What] animal [is the fastest|runs fastest]?~Name the fastest [land |]animal. || The cheetah is the fastest animal on land. || cheetah
[Which|What] is the tallest animal[| in the world]?~[Which|What] animal is the tallest[| of all]?~Name the tallest animal. || The giraffe is the tallest animal. || giraffe
[Which|What] is the [largest|biggest] bird?~[Which|What] bird is the [biggest|largest]?~Name the [largest|biggest] bird. || The ostrich is the largest bird. || ostrich
[Which|What] is the [largest|biggest] continent?~[Which|What] continent is the [biggest|largest]?~Name the [largest|biggest] continent. || Asia is the largest continent. || Asia
[Which|What] is the smallest continent?~[Which|What] continent is the smallest?~Name the smallest continent. || Australia is the smallest continent. || Australia
[Which|What] is the [largest|biggest] desert[| in Africa]?~[Which|What] hot desert is the [biggest|largest]?~Name the [largest|biggest] hot desert. || The Sahara is the largest hot desert. || Sahara
What [do bees make|is made by bees]?~Which food do bees make?~What food comes from bees?~What do we get from bees? || Bees make honey. || honey
What do cows give us?~Which drink comes from cows?~What drink do we get from cows?~What does a cow give? || Cows give us milk. || milk
Where [do eggs come from|does an egg come from]?~Which [animals|birds] give us eggs?~Who lays eggs?~What animal lays eggs? || Hens lay eggs. || hens
Where does wool come from?~Which animal gives us wool?~What animal do we get wool from?~Who gives us wool? || Wool comes from sheep. || sheep
What is frozen water called?~What do [we|you] call frozen water?~What does water turn into when it freezes?~Frozen water is called what? || Frozen water is called ice. || ice
What do [we|you] call water [in the form of a gas|that is a gas]?~What does water turn into when it boils?~What comes out of boiling water? || When water boils, it turns into steam. || steam
What is the [closest|nearest] star[| to Earth| to us]?~Which star is [closest|nearest][| to Earth| to us]?~Name the star [closest|nearest] to [Earth|us]. || The closest star to Earth is the sun. || the sun
What [goes|moves|flies] around the Earth?~What is in orbit around the Earth?~Name the body that goes around the Earth. || The moon goes around the Earth. || the moon
How long does the Earth [take|need] to go around the sun?~How long is a year on Earth?~How much time does the Earth need for one trip around the sun? || The Earth takes one year to go around the sun. || one year
Is the sun a star or a planet?~What is the sun?~What kind of body is the sun?~Is the sun a star? || The sun is a star. || star
Is the Earth [round or flat|flat or round|flat|round]?~What shape is the Earth?~What is the shape of the Earth? || The Earth is round, like a ball. || round
What force pulls things [down|to the ground]?~Why do things fall[| down]?~What keeps us on the ground?~What makes an apple fall[| from a tree]? || Gravity pulls things to the ground. || gravity
What causes the tides?~What makes the sea rise and fall?~Why are there tides?~Where do tides come from? || The moon's gravity causes the tides. || the moon
What causes day and night?~Why do we have day and night?~Why is there night?~What makes day turn to night? || Day and night come from the turning of the Earth. || the turning of the Earth
[Why|How come] do we have seasons?~What causes the seasons?~Where do the seasons come from? || We have seasons because the Earth is tilted on its way around the sun. || the tilt of the Earth
How many bones [does a person have|are in the human body|does the human body have|do we have]?~What is the number of bones in the body? || An adult has 206 bones. || 206
How many teeth [does an adult have|do adults have|does a grown person have]?~What is the number of teeth of an adult? || An adult has 32 teeth. || 32
How many hearts does a person have?~How many hearts do we have?~How many hearts are in the body? || A person has one heart. || one
What does the heart do?~What is the [job|work] of the heart?~What is the heart for?~Why do we have a heart? || The heart pumps blood through the body. || pumps blood
What does the brain do?~What is the [job|work] of the brain?~What is the brain for?~Why do we have a brain? || The brain thinks and controls the body. || thinks
What do the lungs do?~What is the [job|work] of the lungs?~What are the lungs for?~Why do we have lungs? || The lungs take oxygen from the air. || breathe
[Why|Is it true that we] should [I|we|people] brush [my|our|your] teeth?~Why is it good to brush your teeth?~What is brushing teeth good for? || Brushing keeps your teeth clean and healthy. || clean teeth
[Why|How come] do [we|people] sleep?~Why is sleep important?~What is sleep good for?~Why do I need sleep? || We sleep so that the body and the brain can rest. || rest
[Why|How come] do leaves fall [in autumn|from trees]?~Why do trees lose their leaves?~What happens to leaves in autumn? || In autumn, many trees drop their leaves to save water. || to save water
[Which|What] season is the coldest?~What is the coldest season?~When is it coldest in the year?~Name the coldest season. || Winter is the coldest season. || winter
[Which|What] season is the [hottest|warmest]?~What is the [hottest|warmest] season?~When is it [hottest|warmest] in the year?~Name the [hottest|warmest] season. || Summer is the warmest season. || summer
[Which|What] season comes after winter?~What follows winter?~What season is after winter? || Spring comes after winter. || spring
[Which|What] season comes after spring?~What follows spring?~What season is after spring? || Summer comes after spring. || summer
[Which|What] season comes after summer?~What follows summer?~What season is after summer? || Autumn comes after summer. || autumn
[Which|What] season comes after autumn?~What follows autumn?~What season is after autumn? || Winter comes after autumn. || winter
[Which|What] month is the shortest?~What is the shortest month?~Name the shortest month.~Which month has the fewest days? || February is the shortest month. || February
What colour do you get [when you mix|from|if you mix] blue and yellow?~What do blue and yellow make?~Mix blue and yellow: what colour is it?~Which colour do yellow and blue make? || Blue and yellow make green. || green
What colour do you get [when you mix|from|if you mix] red and yellow?~What do red and yellow make?~Mix red and yellow: what colour is it?~Which colour do yellow and red make? || Red and yellow make orange. || orange
What colour do you get [when you mix|from|if you mix] red and blue?~What do red and blue make?~Mix red and blue: what colour is it?~Which colour do blue and red make? || Red and blue make purple. || purple
What colour do you get [when you mix|from|if you mix] black and white?~What do black and white make?~Mix black and white: what colour is it?~Which colour do white and black make? || Black and white make grey. || grey
What colour do you get [when you mix|from|if you mix] red and white?~What do red and white make?~Mix red and white: what colour is it?~Which colour do white and red make? || Red and white make pink. || pink
What are the primary colours?~Name the primary colours.~Which colours are primary?~Tell me the three primary colours. || The primary colours are red, yellow and blue. || red, yellow and blue
Can [a fish|fish] fly?~Do fish fly?~Is it true that fish fly? || No, most fish cannot fly. They swim. || no
Can [a bird|birds] fly?~Do birds fly?~Is it true that birds fly? || Yes, most birds can fly. || yes
Can [a penguin|penguins] fly?~Do penguins fly?~Is it true that penguins fly? || No, penguins cannot fly, but they swim very well. || no
Can [a fish|fish] swim?~Do fish swim?~Is it true that fish swim? || Yes, fish swim very well. || yes
Can [a dog|dogs] [talk|speak]?~Do dogs talk?~Is it true that dogs talk? || No, dogs cannot talk, but they can bark. || no
Is [ice|snow] [cold|hot]?~How does [ice|snow] feel? || Ice and snow are cold. || cold
Is fire [cold|hot]?~How does fire feel? || Fire is hot. Be careful with it! || hot
Is a whale a fish?~Are whales fish?~What kind of animal is a whale? || No, a whale is a mammal. || mammal
Is a tomato a fruit[| or a vegetable]?~What is a tomato: a fruit or a vegetable? || A tomato is a fruit, though we cook it like a vegetable. || fruit
Is a bat a bird?~Are bats birds?~What kind of animal is a bat? || No, a bat is a mammal that can fly. || mammal
Is a spider an insect?~Are spiders insects? || No, a spider has eight legs, so it is not an insect. || no
What is the king of the jungle?~Which animal is the king of [the jungle|animals]?~Who is the king of the animals? || The lion is called the king of the animals. || lion
What is man's best friend?~Which animal is man's best friend? || The dog is called man's best friend. || dog
Which animal has a [long neck|very long neck]?~What animal has a long neck? || The giraffe has a long neck. || giraffe
Which animal has a trunk?~What animal has a trunk?~Who has a trunk? || The elephant has a trunk. || elephant
Which animal [has|wears] [black and white stripes|stripes]?~What animal is striped black and white? || The zebra has black and white stripes. || zebra
Which animal [has|carries] [a shell|its house on its back]?~What animal carries its home? || The snail carries its home on its back. || snail
Which animal has a hump?~What animal [has|carries] humps? || The camel has a hump. || camel
[Which|What] is the first letter of the alphabet?~What letter does the alphabet [start|begin] with? || The first letter of the alphabet is A. || A
[Which|What] is the last letter of the alphabet?~What letter does the alphabet end with? || The last letter of the alphabet is Z. || Z
[What|Which] are the vowels?~Name the vowels.~Tell me the vowels.~Which letters are vowels? || The vowels are a, e, i, o and u. || a, e, i, o and u
Where does the sun rise?~In which direction does the sun rise?~On which side does the sun come up? || The sun rises in the east. || east
Where does the sun set?~In which direction does the sun set?~On which side does the sun go down? || The sun sets in the west. || west
Who was the first [man|person] on the moon?~Who walked on the moon first?~Name the first [man|person] on the moon. || Neil Armstrong was the first person on the moon. || Neil Armstrong
Who was the first [man|person] in space?~Who flew into space first?~Name the first [man|person] in space. || Yuri Gagarin was the first person in space. || Yuri Gagarin
Who painted the Mona Lisa?~The Mona Lisa was painted by who?~Name the painter of the Mona Lisa.~Which painter made the Mona Lisa? || Leonardo da Vinci painted the Mona Lisa. || Leonardo da Vinci
Who painted The Starry Night?~Name the painter of The Starry Night.~Which painter made The Starry Night? || Vincent van Gogh painted The Starry Night. || Vincent van Gogh
Who was the first president of the United States?~Name the first American president. || George Washington was the first president of the United States. || George Washington
Where is the Eiffel Tower?~In which city is the Eiffel Tower?~Where can I see the Eiffel Tower?~The Eiffel Tower is in which city? || The Eiffel Tower is in Paris. || Paris
Where is Big Ben?~In which city is Big Ben?~Where can I see Big Ben? || Big Ben is in London. || London
Where is the Colosseum?~In which city is the Colosseum?~Where can I see the Colosseum? || The Colosseum is in Rome. || Rome
Where are the [pyramids|great pyramids]?~In which country are the pyramids?~Where can I see the pyramids? || The great pyramids are in Egypt. || Egypt
Where is the Statue of Liberty?~In which city is the Statue of Liberty?~Where can I see the Statue of Liberty? || The Statue of Liberty is in New York. || New York
Where is the Great Wall?~In which country is the Great Wall?~Where can I see the Great Wall? || The Great Wall is in China. || China
What is the capital of the United States?~Name the capital of the USA.~What is the capital of America?~Which city is the capital of the United States? || The capital of the United States is Washington. || Washington
[What|Which] is the hardest natural material?~What is the hardest stone?~Which stone is the hardest? || Diamond is the hardest natural material. || diamond
[What|Which] metal is liquid[| at room temperature]?~Name a liquid metal. || Mercury is a liquid metal. || mercury
What is the symbol for water?~What is the formula of water?~Tell me the formula for water. || The formula of water is H2O. || H2O
What do magnets attract?~Which metal does a magnet pull?~What does a magnet pull? || Magnets attract iron. || iron
How fast is light?~What is the speed of light?~How quickly does light travel? || Light travels about 300,000 kilometres in a second. || 300,000 km per second
What is faster, light or sound?~Which is faster, sound or light?~Is light faster than sound? || Light is faster than sound. || light
What is heavier, iron or wood?~Which is heavier, wood or iron? || Iron is heavier than wood. || iron
What is the Roman numeral for five?~How did the Romans write five? || The Roman numeral for five is V. || V
What is the Roman numeral for ten?~How did the Romans write ten? || The Roman numeral for ten is X. || X
How many sides does a hexagon have?~How many sides has a hexagon? || A hexagon has six sides. || six
How many sides does a pentagon have?~How many sides has a pentagon? || A pentagon has five sides. || five
How many sides does a [circle|ball] have?~Does a circle have corners? || A circle has no sides and no corners. || none
What is half of a dozen?~How many is half a dozen? || Half a dozen is six. || six
What do caterpillars [turn into|become]?~What does a caterpillar [turn into|become]?~What comes out of a cocoon? || A caterpillar turns into a butterfly. || butterfly
What do tadpoles [turn into|become]?~What does a tadpole [turn into|become]? || A tadpole turns into a frog. || frog
What is a group of wolves called?~What do you call many wolves together? || A group of wolves is called a pack. || pack
What is a group of sheep called?~What do you call many sheep together? || A group of sheep is called a flock. || flock
What is a group of fish called?~What do you call many fish together? || A group of fish is called a school. || school
What is a group of cows called?~What do you call many cows together? || A group of cows is called a herd. || herd
What do we celebrate on the 25th of December?~When is Christmas?~On which day is Christmas? || Christmas is on the 25th of December. || the 25th of December
When is New Year's Day?~What is the first day of the year? || New Year's Day is the first of January. || the first of January
What do you call your mother's mother?~Who is your mother's mother?~Who is the mother of your mother? || Your mother's mother is your grandmother. || grandmother
What do you call your father's father?~Who is your father's father?~Who is the father of your father? || Your father's father is your grandfather. || grandfather
What do you call your mother's brother?~Who is the brother of your mother?~Who is your father's brother? || The brother of your mother or father is your uncle. || uncle
What do you call your mother's sister?~Who is the sister of your mother?~Who is your father's sister? || The sister of your mother or father is your aunt. || aunt
What is sushi?~Where does sushi come from?~Which country is known for sushi? || Sushi is a dish of rice and fish from Japan. || Japan
Where does pizza come from?~Which country is known for pizza?~What country gave us pizza? || Pizza comes from Italy. || Italy
What is a croissant?~Where does the croissant come from?~Which country is known for croissants? || A croissant is a light pastry loved in France. || France
What does a vegetarian not eat?~What do vegetarians not eat? || A vegetarian does not eat meat or fish. || meat
What [comes|is] first, breakfast or dinner?~What is the first meal of the day?~Which meal do we eat in the morning? || Breakfast is the first meal of the day. || breakfast
What meal do [we|people] eat at noon?~What do you call the meal in the middle of the day? || The meal in the middle of the day is lunch. || lunch
"""


def _read() -> list[tuple[tuple[str, ...], str, str]]:
    facts = []
    for line in _FACTS.strip().splitlines():
        wordings, answer, short = (part.strip() for part in line.split(" || "))
        facts.append((tuple(wordings.split("~")), answer, short))
    return facts


FACTS = _read()
_LEADS = (
    "{q}",
    "{q}",
    "{q}",
    "{q}",
    "{q}",
    "[Can|Could] you tell me: {q}",
    "[Do you know|Tell me]: {q}",
    "{q} [Do you know?|Any idea?]",
    "My [son|daughter|friend|teacher] asked me: {q}",
    "[I wonder|Just wondering]: {q}",
    "Here is a question. {q}",
)


def make(rng: Random) -> list[Exchange]:
    wordings, answer, short = pick(rng, FACTS)
    question = expand(rng, pick(rng, wordings))
    return [Exchange(expand(rng, pick(rng, _LEADS), q=question), answer, short=short)]
