"""Which words of a human caption name which of our sounds, and which words claim nothing that is heard.

Strict on purpose: what a table here does not explain refuses its caption, for a sentence that says more than
the sound beside it holds teaches a model to invent. So no stemming, no similarity: every form of every word
is generated from these tables, and nothing else is understood.

How the tables are written
- `a|b c` is "a c" or "b c"; `[x|y]` may be missing; `_` joins words; phrases are separated by commas.
- Of verbs the first word is inflected, of nouns the last.
- Articles and forms of "be" and "have" are gone before phrases are looked up, and so are HARMLESS words.
- Sounds are labels of the corpus; `a|b` means that a recording of either is truly described, and
  `label/tag` means a clip of the label that also carries the tag, in its labels or in its id.
"""

from typing import NamedTuple

SPEAK = "speak|talk|converse"
ANYONE = "speech|man_speech|woman_speech"

THINGS: dict[str, str] = {
    "man": "[adult|older|young|middle-aged|elderly|old] man, [adult|young_adult] male, guy, gentleman, "
    "male adult, "
    "male person, male speaker, man and another man, man's voice, male voice, young guy",
    "woman": "[adult|older|young|middle-aged|elderly|old] woman, [adult|young_adult] female, lady, "
    "female adult, "
    "female person, female speaker, woman and another woman, woman's voice, female voice, young lady",
    "person": "[young] person, someone, somebody, [young] people, human, human being, individual, "
    "adult, voice, "
    "human voice, "
    "group|couple|bunch of people|individuals|adults",
    "child": "child, kid, toddler, boy, girl, young child|boy|girl",
    "baby": "baby, infant, newborn [baby]",
    "crowd": "crowd, audience, crowd of people",
    "dog": "dog, hound, canine, pack|group of dogs",
    "wolf": "wolf",
    "cat": "cat, kitten, feline",
    "bird": "bird, songbird, group|flock|bunch of birds",
    "crow": "crow, raven",
    "rooster": "rooster",
    "chicken": "chicken, hen",
    "duck": "duck, group of ducks",
    "pigeon": "pigeon, dove, group of pigeons",
    "owl": "owl",
    "seagull": "seagull, gull, sea gull",
    "cow": "cow, cattle",
    "sheep": "sheep, lamb",
    "goat": "goat",
    "pig": "pig, hog",
    "horse": "horse",
    "donkey": "donkey",
    "monkey": "monkey, chimpanzee",
    "lion": "lion, tiger, big cat",
    "frog": "frog, toad, bullfrog",
    "insect": "insect, bug, bee, fly, mosquito, wasp, swarm of bees|insects|flies",
    "cricket": "cricket",
    "wave": "wave, ocean wave, sea wave",
    "leak": "faucet, tap, water faucet",
    "water": "water, tap water, liquid",
    "stream": "[rushing|babbling|flowing] stream, creek, brook, river, stream of water",
    "toilet": "toilet",
    "fire": "fire, campfire, fireplace, bonfire",
    "engine": "engine, motor, motor engine, [motor] vehicle|car|automobile engine|motor, "
    "engine of vehicle|car, "
    "vehicle's engine, "
    "car's engine",
    "cars": "[motor] vehicles, cars, automobiles",
    "vehicle": "[motor] vehicle, car, automobile",
    "motorcycle": "motorcycle, motorbike, motorcycle|motorbike engine|motor",
    "truck": "truck, bus, large truck",
    "train": "[passenger|freight|cargo|commuter] train",
    "whistle": "train whistle, train's whistle",
    "helicopter": "helicopter",
    "airplane": "airplane, plane, aircraft, jet, airplane|plane|aircraft|jet engine|motor, small plane, "
    "jet plane, jet airplane",
    "chainsaw": "chainsaw, chain saw",
    "saw": "power saw, electric saw, circular saw",
    "drill": "drill, power drill, electric drill, electric power drill, jackhammer",
    "vacuum": "vacuum cleaner, vacuum",
    "washer": "washing machine",
    "dishwasher": "dishwasher",
    "microwave": "microwave, microwave oven",
    "blender": "blender",
    "fan": "fan, electric fan",
    "fridge": "refrigerator, fridge, freezer",
    "machine": "machine",
    "door": "door",
    "drawer": "drawer",
    "cupboard": "cupboard, cabinet, cupboard|cabinet door",
    "glass": "glass",
    "clock": "clock",
    "keyboard": "keyboard, computer keyboard",
    "phone": "phone, telephone, cell phone, cellphone",
    "bells": "church bell",
    "bell": "bell",
    "doorbell": "doorbell, door bell",
    "clockalarm": "alarm clock",
    "alarm": "alarm",
    "smoke": "smoke|fire alarm, smoke detector",
    "horn": "car|vehicle|automobile horn, vehicle's horn, car's horn",
    "anyhorn": "horn, air horn",
    "trainhorn": "train|locomotive horn, train's horn",
    "shiphorn": "ship|boat horn, fog horn, foghorn",
    "siren": "siren, emergency siren, emergency vehicle siren, siren of|from|on emergency vehicle, "
    "vehicle siren",
    "gun": "gun, rifle, pistol, firearm",
    "plates": "dish, plate",
    "silverware": "silverware, cutlery, utensil",
    "food": "food, meat, something",
    "oil": "oil, grease, cooking oil",
    "guitar": "guitar, acoustic guitar",
    "piano": "piano",
    "violin": "violin, fiddle",
    "cello": "cello",
    "flute": "flute",
    "clarinet": "clarinet",
    "saxophone": "saxophone, sax",
    "trumpet": "trumpet",
    "drum": "drum",
}
"""What makes sounds: nouns. Alone they name none."""

RUNS = "run, operate, work, run smoothly, hum, run nearby"
DEEDS: dict[str, dict[str, str]] = {
    "man": {f"{SPEAK}, say something, give speech, make speech, deliver speech, narrate, "
            "carry on conversation, have conversation, say words": "man_speech"},
    "woman": {f"{SPEAK}, say something, give speech, make speech, deliver speech, narrate, "
              "carry on conversation, have conversation, say words": "woman_speech"},
    "person": {f"{SPEAK}, chat, chatter, say something, give speech, make speech, deliver speech, narrate, "
               "have conversation, carry on conversation": ANYONE,
               "laugh": "laughter", "scream": "screaming", "cry, sob": "adult_crying", "cheer": "cheering",
               "sing": "singing", "whistle": "whistling", "sigh": "sigh", "yawn": "yawn", "groan": "groan",
               "clap, applaud": "clapping", "breathe": "breathing", "pant": "panting"},
    "child": {f"{SPEAK}, say something": "child_speech", "play": "children_playing", "sing": "child_singing"},
    "baby": {"cry, wail": "crying_baby", "laugh, giggle": "baby_laugh"},
    "crowd": {f"{SPEAK}, chat, chatter, murmur": "crowd_chatter|cafe", "cheer": "cheering",
              "clap, applaud": "clapping", "cheer and applaud|clap": "cheering"},
    "dog": {"bark, woof, bark repeatedly": "dog_bark", "howl": "dog_howl", "pant": "panting"},
    "wolf": {"howl": "dog_howl"},
    "cat": {"meow, mew": "cat_meow"},
    "bird": {"chirp, sing, tweet, twitter, call, vocalize, chirp and tweet, tweet and chirp, "
    "chirp and sing, "
             "sing and chirp, communicate, sing songs, call out, tweet and sing, whistle, "
             "make noise|noises|sounds, squawk and chirp,  whistle and chirp, "
             "chirp and call, "
             "chatter, cheep": "bird_chirp", "caw": "crow", "coo": "pigeon", "quack": "duck_goose/duck",
             "hoot": "owl"},
    "crow": {"caw, call, crow, squawk": "crow"},
    "rooster": {"crow, call, cock-a-doodle-doo": "rooster"},
    "chicken": {"cluck, call, bawk": "chicken"},
    "duck": {"quack, call": "duck_goose/duck"},
    "pigeon": {"coo, call": "pigeon"},
    "owl": {"hoot, call": "owl"},
    "seagull": {"call, squawk, cry, screech, caw": "seagull"},
    "cow": {"moo, bellow, low": "cow"},
    "sheep": {"bleat, baa, baaing": "sheep"},
    "goat": {"bleat, baa": "goat"},
    "pig": {"oink, oink and grunt, grunt, snort, snort and oink, oink and snort": "pig"},
    "horse": {"neigh, whinny": "horse/neigh", "gallop": "horse/gallop"},
    "donkey": {"bray, hee-haw": "donkey"},
    "monkey": {"call, scream, screech, chatter, vocalize": "monkey"},
    "lion": {"roar, growl": "big_cat_roar"},
    "frog": {"croak, ribbit, call, make noise|noises|sounds": "frog"},
    "insect": {"buzz, fly around, hum, fly, buzz around, swarm": "insect_buzz"},
    "cricket": {"chirp, sing, call, make noise|noises|sounds, chirp and sing": "crickets"},
    "wave": {"crash, break, roll in, lap, wash ashore, break|crash on|against|onto|into shore|beach|rocks, "
             "hit shore|rocks|beach, roll, crash ashore": "sea_waves"},
    "leak": {f"{RUNS}, run water, turn on, flow": "water_tap"},
    "water": {
        "run|flow|come|pour|stream from|out_of|into faucet|tap|sink, run in sink, "
        "run from faucet into sink, "
        "run down drain, run into sink|basin": "water_tap",
        "run, flow, stream, rush": "water_tap|stream",
        "flow in|down|through stream|creek|river|brook": "stream",
        "drip, drip down, drip into water": "water_drops",
        "splash, splash around, slosh": "water_splash",
        "pour, pour into glass|cup|container|bowl|mug|bottle|bucket": "pouring_water",
        "boil, bubble, gurgle and bubble": "boiling_bubbling",
    },
    "stream": {"flow, run, trickle, babble, flow by": "stream"},
    "toilet": {"flush": "toilet_flush"},
    "fire": {"crackle, burn, burn and crackle, crackle and pop, crackle and burn, pop and crackle":
             "crackling_fire"},
    "engine": {f"{RUNS}, idle, run idle, run in idle, work in idle, drone, rumble, hum and vibrate, "
    "idle and "
               "vibrate, idle smoothly": "engine"},
    "vehicle": {"idle, run, run idle, run in idle, idle in place": "engine"},
    "cars": {"pass, pass by, drive by, go by, drive past, pass on road|street|highway, drive, "
             "drive on|down [busy] road|street|highway, travel on|down road|street|highway, move, "
             "pass by on street|road|highway, drive past on road|street, travel": "traffic",
             "idle": "engine"},
    "motorcycle": {"idle": "motorcycle"},
    "truck": {"drive away, pull away, drive off": "truck_bus"},
    "train": {"pass, pass by, move, run, run on|along|down tracks|track|railroad|rails, go by, go past, "
    "travel, "
              "move along|down|on tracks|track|rails, clickety-clack, clack, roll by, travel by, "
              "travel on|down|along tracks|track|rails, go down|on tracks|track, pass on tracks|track, "
              "roll on|along|down tracks|track, ride on|along|down tracks|track, roll along, roll, "
              "ride by": "train",
        "blow horn, blow its horn, sound its horn, sound horn, honk horn, honk its horn": "train_horn"},
    "helicopter": {"fly, fly by, hover, fly overhead, pass overhead, fly around, fly above, "
    "hover overhead, pass, "
                   f"pass by, {RUNS}, fly over": "helicopter"},
    "airplane": {"fly, fly by, fly overhead, pass overhead, pass, pass by, take off, go overhead, "
    "fly past, "
                 "fly above, roar, roar overhead, hum, run, fly over, drone": "airplane"},
    "chainsaw": {f"{RUNS}, cut, cut wood, saw, cut down tree, buzz, cut through wood": "chainsaw"},
    "saw": {f"{RUNS}, cut, cut wood, saw wood, buzz, whine": "power_saw"},
    "drill": {f"{RUNS}, drill, buzz, whir": "power_drill"},
    "vacuum": {f"{RUNS}, whir, drone, roar, clean": "vacuum_cleaner"},
    "washer": {f"{RUNS}, spin, rumble, wash": "washing_machine"},
    "dishwasher": {f"{RUNS}, rumble": "dishwasher"},
    "microwave": {f"{RUNS}, run and beep": "microwave"},
    "blender": {f"{RUNS}, blend, whir, grind, blend food, blend something": "blender"},
    "fan": {f"{RUNS}, blow, whir, spin, buzz": "fan"},
    "fridge": {"hum, run, buzz": "fridge_hum"},
    "machine": {"hum": "machine_hum|fridge_hum|fan", "run, operate, "
    "work": "machine_hum|washing_machine|dishwasher"},
    "whistle": {"blow, sound, blare, whistle, toot": "train_horn/whistle"},
    "door": {"creak, creak open, squeak, squeak open, creak and squeak, squeak and creak": "door_creak",
             "close, shut, slam, slam shut, slam closed": "door_slam/close", "open": "door_slam/open"},
    "drawer": {"open, close, open and close, slide open, slide shut, open and shut, slide": "drawer"},
    "cupboard": {"open, close, open and close, open and shut, shut, slam": "cupboard"},
    "glass": {"break, shatter, smash": "glass_breaking", "clink": "dishes"},
    "clock": {"tick, tick-tock, tick tock, ticktock, tick and tock": "clock_tick"},
    "keyboard": {"click, clack, clatter, type, tap": "keyboard_typing"},
    "phone": {"ring, ring and ring": "phone_ring", "dial": "phone_dialing"},
    "bells": {"ring, toll, chime, peal, sound, clang, strike": "church_bells"},
    "bell": {"ring, toll, chime, sound, clang": "bell|church_bells", "ding": "bell"},
    "doorbell": {"ring, chime, sound, ding": "doorbell"},
    "clockalarm": {"ring, sound, beep, go off, buzz": "alarm_clock"},
    "alarm": {"ring, sound, beep, go off, blare, sound off": "alarm|smoke_alarm|alarm_clock"},
    "smoke": {"beep, sound, go off, ring, blare, chirp": "smoke_alarm"},
    "horn": {"honk, blow, sound, beep, blare, go off, toot": "car_horn"},
    "anyhorn": {"honk, beep, toot, blow, sound, blare": "car_horn|train_horn"},
    "trainhorn": {"blow, sound, blare, honk, toot": "train_horn"},
    "shiphorn": {"blow, sound, blare, toot": "ship_horn"},
    "siren": {"wail, sound, blare, ring, go off, blow, whine, sound off": "siren"},
    "gun": {"fire, shoot, go off": "gunshot"},
    "plates": {"clatter, clank, clang, clink, rattle, bang, move around, clink together": "dishes",
               "wash": "washing_dishes"},
    "silverware": {"clink, clatter, clank, clang, rattle, jingle, clink together": "cutlery"},
    "food": {"fry, sizzle, cook, fry in pan, sizzle in pan, sizzle and fry, "
    "fry and sizzle": "frying_sizzle"},
    "oil": {"sizzle, fry, sizzle in pan": "frying_sizzle"},
    **{name: {"play, strum, strum and play, play music, play melody, play tune, play song": name}
       for name in ("guitar", "piano", "violin", "cello", "flute", "clarinet", "saxophone", "trumpet")},
    "drum": {"beat, play, bang, pound, play beat": "drum"},
}  # fmt: skip
"""What a thing does -> the sound that is. "hum" of an engine and "hum" of a fridge are two sounds."""

SOUNDS: dict[str, str] = {
    "speech, conversation, human speech, dialogue, talk": ANYONE,
    "male|man speech, male|man 's speech, speech by man, man's speech": "man_speech",
    "female|woman speech, woman's speech, speech by woman": "woman_speech",
    "people conversation, people's conversation": ANYONE,
    "crowd chatter, chatter, chatter of crowd|people, murmur of crowd|people, crowd murmur, hubbub, "
    "babble, "
    "crowd noise": "crowd_chatter|cafe",
    "laughter": "laughter",
    "scream, screams": "screaming",
    "applause, clap, handclap, hand clap, round of applause, crowd applause, audience applause": "clapping",
    "cheer, cheers": "cheering",
    "cry of baby, baby's cry": "crying_baby",
    "baby laughter, laughter of baby": "baby_laugh",
    "cough": "cough",
    "sneeze": "sneeze",
    "yawn": "yawn",
    "sigh": "sigh",
    "burp, belch": "burp",
    "snore": "snoring",
    "footstep, footfall": "footsteps",
    "bark, bark of dog, dog's bark": "dog_bark",
    "meow": "cat_meow",
    "bird song|sound, birdsong, bird vocalization, chirp of bird, bird chirping, "
    "songs of birds, call of bird|birds": "bird_chirp",
    "quack": "duck_goose/duck",
    "moo": "cow",
    "oink": "pig",
    "buzz of insect|insects|bee|bees": "insect_buzz",
    "rain, rainfall, rain shower, downpour of rain, raindrop, rain drop, rainstorm": "rain",
    "thunder, thunderclap, clap of thunder, rumble of thunder, roll of thunder, thunder clap, "
    "crack of thunder, "
    "thunder crack, thunder sound, thunderstorm": "thunder",
    "[high|strong|gusty] wind, gust of wind, wind gust, wind noise|sound, breeze, burst of wind": "wind",
    "ocean wave, sea wave, surf, ocean surf, waves on beach|shore, ocean wave sound": "sea_waves",
    "dripping of water, water drip, water droplet, drip of water, water drop": "water_drops",
    "splash, splash of water, water splash": "water_splash",
    "crackle of fire, fire crackle": "crackling_fire",
    "toilet flush, flush of toilet, flush": "toilet_flush",
    "waterfall": "stream/waterfall",
    "running|flowing|rushing water, water flow, flow of water": "water_tap|stream",
    "running tap|faucet, water from faucet|tap, running tap|faucet water": "water_tap",
    "keyboard typing": "keyboard_typing",
    "tick of clock, tick-tock, ticktock, tick tock, clock tick, ticktocks, tick-tocking, ticktocking, "
    "ticktock of clock": "clock_tick",
    "knock, knock on door|wood, door knock": "door_knock",
    "mouse click, click of mouse": "mouse_click",
    "gunshot, gunfire, gun shot": "gunshot",
    "explosion, blast, explosion sound": "explosion",
    "firework, fireworks explosion": "fireworks",
    "car|vehicle|automobile honk, honk of car|vehicle": "car_horn",
    "siren wail, wail of siren": "siren",
    "engine noise|hum|sound, hum|humming of engine|motor, motor noise|sound, engine humming": "engine",
    "traffic, traffic on [busy] street|road|highway, [passing|busy] traffic, traffic noise, "
    "road traffic, street traffic, vehicle traffic, highway traffic, "
    "traffic sound": "traffic",
    "train noise|sound": "train",
    "airplane|aircraft|plane noise|engine noise|sound": "airplane",
    "helicopter noise|sound|blades|rotors, helicopter engine": "helicopter",
    "music, song, musical tune, melody, instrumental music, musical instruments, orchestra music": "music",
    "guitar music, sound of guitar, acoustic guitar music": "guitar",
    "piano music": "piano",
    "violin music": "violin",
    "telephone|phone ring, ring of telephone|phone": "phone_ring",
    "church bell ring": "church_bells",
    "glass shatter": "glass_breaking",
    "electronic beep": "appliance_beep",
    "beep": "appliance_beep|reversing_beep",
}
"""Nouns that alone name a sound; with a plain verb too ("rain falls", "music is playing")."""

PLAIN: dict[str, str] = {
    "speech": "talk, speak",
    "man_speech": "speak, talk",
    "woman_speech": "speak, talk",
    "rain": "fall, pour, come down, patter, fall down, pour down, beat down, patter down, fall steadily, "
    "hit surface|roof|ground|window|rooftop|pavement|windshield, hit against surface|window, "
    "fall|pour|patter|come_down|pour_down|beat_down|fall_down on|onto|against|upon [hard|metal|tin] "
    "surface|roof|ground|window|rooftop|pavement|windows",
    "thunder": "rumble, roar, roll, crack, clap, boom, crash, strike, sound, rumble and crack",
    "wind": "blow, howl, gust, whistle, rush, blow by, blow around, blow through trees, swirl, whip",
    "sea_waves": "crash, break, roll in, lap, hit shore|rocks, roll, crash on|against|onto shore|beach|rocks",
    "music": "play, play on radio, sound",
    "traffic": "pass, pass by, move, go by, flow, drive by, move by",
    "gunshot": "fire, ring out, go off, sound",
    "explosion": "go off, boom, sound, occur",
    "fireworks": "go off, explode, pop, crackle, boom, pop and explode",
    "siren": "sound, wail, blare",
    "laughter": "sound, ring out, erupt",
    "footsteps": "walk, approach",
    "appliance_beep": "sound, go off",
    "guitar": "play",
    "piano": "play",
    "violin": "play",
    "raindrops": "fall",
    "water_drops": "fall, drip, drip down",
    "helicopter": "spin, rotate, whir",
    "airplane": "hum, roar",
    "engine": "run, idle, hum",
}
"""Verbs that add nothing to a noun of SOUNDS but that it sounds: label -> verbs."""

ACTS: dict[str, str] = {
    "cough": "cough",
    "sneeze, sneeze loudly": "sneeze",
    "snore": "snoring",
    "sniff and blow nose, blow nose, blow their nose": "nose_blowing",
    "clear throat, clear their throat, clear his|her throat": "throat_clearing",
    "burp, belch": "burp",
    "clap, applaud, clap hands, clap their hands": "clapping",
    "walk, walk on|down|across|along floor|surface|pavement|hallway|sidewalk|hard surface, "
    "walk around, take steps, walk on|down hard_surface, walk by": "footsteps",
    "chew, eat, chew food, eat food, munch, chew on food|something, eat chips, crunch on food": "eating",
    "sip, drink, sip drink, drink water, drink from glass|cup, gulp": "drinking",
    "brush teeth, brush their teeth, brush his|her teeth": "brushing_teeth",
    "type, type on [computer|laptop] keyboard, type on computer|laptop, use [computer] keyboard, "
    "tap on [computer] keyboard": "keyboard_typing",
    "click mouse, click on mouse, click computer mouse": "mouse_click",
    "knock on [wooden] door|wood|window|doors, knock at door, knock": "door_knock",
    "turn page, turn pages, flip through pages|book, flip pages, "
    "turn pages of|in book|newspaper|magazine": "page_turning",
    "wash dishes, do dishes, wash dishes in sink, clean dishes": "washing_dishes",
    "pour water|liquid|drink, "
    "pour water|liquid into cup|glass|container|bowl|bottle|mug|pot": "pouring_water",
    "flush toilet": "toilet_flush",
    "turn on faucet|tap|water, run faucet|water": "water_tap",
    "open drawer, close drawer, open and close drawer|drawers": "drawer",
    "open cupboard|cabinet, close cupboard|cabinet, open and close cabinet|cupboard|cabinets": "cupboard",
    "chop food|vegetables, chop vegetables on board|cutting_board, cut vegetables, "
    "slice vegetables": "chopping",
    "peel vegetables|potatoes|potato|carrot|carrots": "peeling",
    "fry food|meat|bacon|eggs, cook food in pan, fry food in pan|oil, cook in frying_pan": "frying_sizzle",
    "open can|soda, open can of soda|beer": "can_opening",
    "sweep, sweep floor, sweep with broom, sweep floor with broom": "sweeping",
    "saw, saw wood, saw through wood, saw piece of wood, cut wood with saw|handsaw": "hand_saw",
    "hammer, hammer nail, hammer nails": "hammering",
    "use vacuum cleaner, vacuum, vacuum floor|carpet": "vacuum_cleaner",
    "honk, honk horn, honk car horn, beep horn": "car_horn",
    "dial phone|telephone, dial on phone": "phone_dialing",
    "play guitar": "guitar",
    "play piano": "piano",
    "play violin": "violin",
    "play flute": "flute",
    "play cello": "cello",
    "play saxophone": "saxophone",
    "play clarinet": "clarinet",
    "play drum, play drums": "drum",
    "fire gun, shoot gun": "gunshot",
    "break glass": "glass_breaking",
    "rain": "rain",
}
"""What somebody does, whoever it is: verbs that name a sound without their subject."""

ALONE: dict[str, str] = {
    "speak, talk, converse": ANYONE,
    "laugh": "laughter",
    "scream": "screaming",
    "sob": "adult_crying",
    "bark": "dog_bark",
    "meow": "cat_meow",
    "oink": "pig",
    "moo": "cow",
    "quack": "duck_goose/duck",
    "bleat, baa": "sheep|goat",
    "neigh, whinny": "horse/neigh",
    "croak": "frog",
    "cluck": "chicken",
    "caw": "crow",
    "coo": "pigeon",
    "hoot": "owl",
    "chirp, tweet": "bird_chirp",
    "buzz": "insect_buzz",
    "sizzle, fry": "frying_sizzle",
    "tick, tick-tock, ticktock": "clock_tick",
    "applaud": "clapping",
    "thunder": "thunder",
    "splash": "water_splash",
    "drip": "water_drops",
    "bubble, boil": "boiling_bubbling",
    "creak": "door_creak",
    "clink": "cutlery|dishes",
    "breathe": "breathing",
    "hum": "machine_hum|fridge_hum|fan",
    "ring": "phone_ring|church_bells|alarm_clock",
    "beep": "appliance_beep|reversing_beep",
    "honk": "car_horn",
    "drill": "power_drill",
    "chop": "chopping",
    "flush": "toilet_flush",
    "idle": "engine",
    "cheer": "cheering",
    "whistle": "whistling",
    "sing": "singing",
}
"""Verbs that name a sound also where no subject is said: "followed by barking"."""

STANDING: dict[str, str] = {
    "siren": "siren",
    "horn": "car_horn",
    "anyhorn": "car_horn|train_horn",
    "trainhorn": "train_horn",
    "whistle": "train_horn/whistle",
    "shiphorn": "ship_horn",
    "alarm": "alarm|smoke_alarm|alarm_clock",
    "smoke": "smoke_alarm",
    "doorbell": "doorbell",
    "bells": "church_bells",
    "helicopter": "helicopter",
    "airplane": "airplane",
    "chainsaw": "chainsaw",
    "vacuum": "vacuum_cleaner",
    "cricket": "crickets",
}
"""Things that are heard where a caption only names them: "with a siren in the distance"."""

GENERIC = "occur, happen, be heard, play, sound, go on, continue, present, come"
"""Verbs that only say that there is a sound."""

NARROWED: dict[str, str] = {"train": "train_horn", "traffic": "car_horn", "water_tap": "water_tap"}
"""Where the first is heard, a sound that might be the second or another is the second: a train's horn."""

DOERS = ("person", "crowd")
"""Who may do the ACTS unheard. A man or a woman must be heard speaking as well: no invented people."""


class Way(NamedTuple):
    """How events are heard: level in dB against others, distance 0 to 1, and how often."""

    level_db: float = 0.0
    distance: float | None = None
    repeat: str = ""


WAYS: dict[str, Way] = {
    "in [far] background, background, in back ground, far in background": Way(-9, 0.7),
    "in [far] distance, distant, distantly, far away, in distant background, from distance, from afar, "
    "afar, "
    "far off, off in distance, further away, farther away": Way(-10, 0.9),
    "faint, faintly, quietly, softly, quiet, soft, lightly, gently, lowly, low, light, gentle": Way(-7),
    "muffled": Way(-7, 0.8),
    "nearby, near by, close by, in foreground, up close, close, near, closely": Way(0, 0.1),
    "loud, loudly, noisily, very loudly, heavily, heavy, strongly, hard, strong": Way(5, 0.2),
    "echoing, with echo": Way(0, 1.0),
    "outside, outdoors, in forest, in woods, in field, out in open, in nature": Way(0, 0.0),
    "several times, multiple times, many times, repeatedly, few times, over and over, repetitively, "
    "number of times, again and again, in succession, in rapid|quick succession, couple of times": Way(
        repeat="many"
    ),
    "once, one time, single time": Way(repeat="1"),
    "twice, two times": Way(repeat="2"),
    "three times": Way(repeat="3"),
    "four times": Way(repeat="4"),
    "continuous, continuously, constant, constantly, consistently, consistent, ongoing, nonstop, non-stop, "
    "steadily, steady, throughout, whole time, entire time, entire|whole clip, all time, continually": Way(
        repeat="on"
    ),
    "intermittently, intermittent, occasionally, sporadically, periodically, on and off": Way(
        repeat="pauses"
    ),
}
"""Level, distance and how often, as people say it."""

COUNTS = {"single": 1, "one": 1, "two": 2, "three": 3, "four": 4, "couple": 2, "both": 2}
MANY = (
    "number variety numbers several multiple few many various numerous different bunch series lots lot group"
)

LINKS: dict[str, str] = {
    "while, as, with, during, whilst, alongside, along with, accompanied by, amid, together with, "
    "at same time as, "
    "over, as well as, simultaneously with, with sound of, with sounds of, in addition to, "
    "meanwhile": "with",
    "followed by, followed closely by, followed shortly by, followed quickly by, followed immediately by, "
    "then, and then, before, prior to, until, followed with, and followed by, proceeded by, "
    "and soon": "then",
    "after": "after",
    "and, comma, plus, and also, also": "and",
}
"""What joins two clauses."""

HARMLESS = (
    "it its their his her this that also just very rather quite really somewhat fairly slightly slowly "
    "quickly briefly suddenly immediately shortly rhythmically clearly finally eventually again more "
    "another other others each together elderly brief short long small large big little some any away along "
    "indistinctly inaudibly unintelligibly excitedly happily calmly normally gradually vigorously fast quick "
    "slow sudden still now soon there here audibly audible either one's outdoor indoor present"
)
"""Words that claim nothing which a listener to the sound beside them would miss."""

HARMLESS_PHRASES = (
    "sound|sounds|noise|noises of, heard, can be heard, can heard, of sound, at same time, back and forth, "
    "to|with each other, to|with one another, among|amongst|between themselves, in air, in process, "
    "one after another, "
    "up and down, at once, in unison, in group, for while, can, going on, taking place, once more, "
    "at steady|constant|even|moderate|consistent|normal|medium pace|rate|volume|speed|level, "
    "in quiet|otherwise_quiet "
    "environment|room|area|space, in middle, with each_other, "
    "at times, in room, as time goes on|by, over time, at first, at night, inside room|building|house, "
    "in trees, in same room, near each_other"
)

AUXILIARY = "continue to, begin to, start to, begin, continue, keep, can be heard"
"""Verbs before the verb that matters: "starts to bark", "continues speaking"."""
