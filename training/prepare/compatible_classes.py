"""Which AudioSet classes are right, or near enough, for each of our labels."""

VOICE = "Speech; Conversation; Narration, monologue; Speech synthesizer"
SAW = "Sawing; Tools; Power tool; Wood; Filing (rasp); Sanding; Rub; Scrape; Scratch"
BEEPS = "Beep, bleep; Alarm; Buzzer; Sine wave; Ping; Ding; Pulse; Telephone"
RINGS = "Alarm; Alarm clock; Telephone; Telephone bell ringing; Ringtone; Bell; Buzzer; Beep, bleep"
TAPS = (
    "Water; Liquid; Water tap, faucet; Sink (filling or washing); Bathtub (filling or washing); Pour; "
    "Fill (with liquid); Stream; Trickle, dribble; Gush; Splash, splatter"
)
HUMS = (
    "Mechanical fan; Air conditioning; Mains hum; Hum; Mechanisms; Engine; Vacuum cleaner; Whir; "
    "Microwave oven; Vibration; Throbbing; White noise; Noise; Static; Pulleys; Gears; Hair dryer; "
    "Pink noise"
)
SLIDES = (
    "Drawer open or close; Cupboard open or close; Door; Sliding door; Slam; Wood; Rub; Scrape; Tap; "
    "Thump, thud; Squeak; Creak"
)
CHEWS = "Chewing, mastication; Biting; Crunch; Crumpling, crinkling; Crushing; Chopping (food); Chop"
FOOD = (
    "Chopping (food); Chop; Tap; Wood; Knock; Cutlery, silverware; Dishes, pots, and pans; "
    "Frying (food); Sizzle; Liquid; Stir; Boiling; Scrape; Rub; Scratch; Crumpling, crinkling"
)
ENGINES = (
    "Engine; Vehicle; Motor vehicle (road); Car; Idling; Medium engine (mid frequency); "
    "Heavy engine (low frequency); Light engine (high frequency); Engine starting; "
    "Accelerating, revving, vroom; Truck; Bus; Motorcycle; Engine knocking; Boat, Water vehicle; "
    "Lawn mower; Car passing by; Traffic noise, roadway noise; Race car, auto racing"
)
FLIES = (
    "Aircraft; Aircraft engine; Jet engine; Propeller, airscrew; Helicopter; Fixed-wing aircraft, airplane"
)
BANGS = (
    "Explosion; Gunshot, gunfire; Machine gun; Fusillade; Artillery fire; Cap gun; Fireworks; "
    "Firecracker; Burst, pop; Eruption; Boom; Bang; Thunder; Thunderstorm"
)
MUSICAL = "Music; Musical instrument; Orchestra"
BOWED = (
    "Bowed string instrument; String section; Violin, fiddle; Cello; Double bass; Classical music; Pizzicato"
)
BLOWN = (
    "Wind instrument, woodwind instrument; Flute; Saxophone; Clarinet; Brass instrument; Trumpet; "
    "Trombone; French horn; Classical music; Jazz"
)
BIRDS = "Bird; Bird vocalization, bird call, bird song; Chirp, tweet; Squawk"
BEASTS = "Animal; Livestock, farm animals, working animals"
WATERS = (
    "Water; Stream; Waterfall; Ocean; Waves, surf; Rain; Rain on surface; Raindrop; Splash, splatter; "
    "Gurgling; Liquid; Boat, Water vehicle"
)
FORGIVEN: dict[str, str] = {
    "man_speech": f"{VOICE}; Male speech, man speaking",
    "woman_speech": f"{VOICE}; Female speech, woman speaking",
    "child_speech": f"{VOICE}; Child speech, kid speaking; Children playing; Female speech, woman speaking",
    "speech": f"{VOICE}; Male speech, man speaking; Female speech, woman speaking",
    "crowd_chatter cafe": f"{VOICE}; Chatter; Crowd; Hubbub, speech noise, speech babble; Cheering; "
    "Dishes, pots, and pans",
    "children_playing": "Children playing; Children shouting; Child speech, kid speaking; Crowd; "
    "Chatter; Speech",
    "singing child_singing": "Singing; Choir; Child singing; Male singing; Female singing; Music; "
    "Vocal music; A capella; Song",
    "screaming": "Screaming; Shout; Yell; Battle cry; Children shouting; Whoop; Bellow; Wail, moan; "
    "Crying, sobbing",
    "cheering": "Cheering; Crowd; Applause; Whoop; Shout; Children shouting; Clapping",
    "laughter baby_laugh": "Laughter; Baby laughter; Giggle; Snicker; Belly laugh; Chuckle, chortle",
    "crying_baby": "Crying, sobbing; Baby cry, infant cry; Whimper; Wail, moan; Screaming; Babbling",
    "adult_crying": "Crying, sobbing; Whimper; Wail, moan; Baby cry, infant cry; Screaming",
    "sigh yawn groan": "Sigh; Groan; Gasp; Breathing; Wail, moan; Grunt; Humming; Whimper; Pant; "
    "Singing; Bellow",
    "whistling": "Whistling; Whistle; Music",
    "cough throat_clearing sneeze nose_blowing": "Cough; Throat clearing; Sneeze; Sniff; Gasp; Snort; "
    "Grunt; Breathing; Fart",
    "snoring breathing panting": "Snoring; Breathing; Pant; Gasp; Wheeze; Snort; Sigh; Dog; Sniff",
    "burp": "Burping, eructation; Fart; Hiccup; Stomach rumble; Groan",
    "clapping": "Clapping; Applause; Hands; Cheering; Crowd; Finger snapping; Slap, smack",
    "footsteps": "Walk, footsteps; Run; Shuffle; Knock; Tap; Thump, thud; Crunch; Crushing; Clip-clop",
    "eating": CHEWS,
    "drinking": f"{CHEWS}; Liquid; Gargling; Water; Pour; Burping, eructation; Gurgling; Breathing; "
    "Slosh; Sniff",
    "brushing_teeth": "Toothbrush; Electric toothbrush; Scratch; Rub; Scrape; Sanding; Filing (rasp); Tools",
    "dog_bark dog_howl": "Dog; Bark; Yip; Howl; Bow-wow; Growling; Whimper (dog); Animal; "
    "Domestic animals, pets; Canidae, dogs, wolves",
    "cat_meow": "Cat; Meow; Purr; Caterwaul; Hiss; Animal; Domestic animals, pets",
    "bird_chirp": BIRDS,
    "crow": f"{BIRDS}; Crow; Caw",
    "rooster chicken": f"{BIRDS}; {BEASTS}; Fowl; Chicken, rooster; Cluck; "
    "Crowing, cock-a-doodle-doo; Turkey; Gobble",
    "duck_goose": f"{BIRDS}; Duck; Quack; Goose; Honk; Fowl",
    "pigeon owl": f"{BIRDS}; Pigeon, dove; Coo; Owl; Hoot",
    "seagull": f"{BIRDS}; Ocean",
    "cow": f"{BEASTS}; Cattle, bovinae; Moo; Cowbell; Bellow",
    "sheep goat": f"{BEASTS}; Sheep; Goat; Bleat",
    "pig": f"{BEASTS}; Pig; Oink; Grunt; Snort; Burping, eructation",
    "horse": f"{BEASTS}; Horse; Clip-clop; Neigh, whinny; Snort",
    "donkey": f"{BEASTS}; Horse; Neigh, whinny; Goat; Bleat; Wild animals",
    "monkey": f"{BEASTS}; Wild animals; Roar; {BIRDS}; Screaming; Owl; Laughter; Dog",
    "big_cat_roar": f"{BEASTS}; Roaring cats (lions, tigers); Roar; Growling; Wild animals; Dog; Cat; "
    "Canidae, dogs, wolves",
    "frog": "Frog; Croak; Animal; Insect; Cricket; Wild animals; Duck; Quack; Bird",
    "insect_buzz": "Insect; Mosquito; Fly, housefly; Buzz; Bee, wasp, etc.; Cricket; Animal; Hum",
    "crickets": f"Cricket; Insect; Animal; {BIRDS}; Frog; Buzz",
    "rain": f"{WATERS}; White noise; Frying (food); Sizzle; Wind; Toilet flush",
    "thunder": "Thunder; Thunderstorm; Rain; Explosion; Boom; Rumble",
    "wind": "Wind; Wind noise (microphone); Rustling leaves; Ocean; Waves, surf; Rain; Thunderstorm; "
    "Howl; White noise; Static; Noise",
    "sea_waves stream": f"{WATERS}; Wind",
    "water_drops": f"{WATERS}; Drip; Trickle, dribble; Plop; Water tap, faucet; Tap; "
    "Sink (filling or washing)",
    "water_splash": f"{WATERS}; Slosh; Plop; Bathtub (filling or washing); Sink (filling or washing); "
    "Drip; Walk, footsteps; Pour; Toilet flush; Boat, Water vehicle; Rowboat, canoe, kayak",
    "crackling_fire": "Fire; Crackle; Rain; Rustling leaves; Burst, pop; Crumpling, crinkling; "
    "Crunch; Walk, footsteps",
    "water_tap pouring_water shower washing_dishes": f"{TAPS}; Dishes, pots, and pans; Drip; "
    "Toilet flush; Waterfall; Gurgling; Boiling; Rain; Stir; Spray",
    "toilet_flush": "Toilet flush; Water; Stream; Gush; Gurgling; Water tap, faucet; Spray; "
    "Bathtub (filling or washing)",
    "boiling_bubbling": f"{TAPS}; Boiling; Gurgling; Frying (food); Sizzle; Stir; Plop; Slosh; Hum; Drip",
    "smoke_alarm co_alarm alarm": f"{BEEPS}; {RINGS}; Smoke detector, smoke alarm; Fire alarm; Siren; "
    "Reversing beeps; Civil defense siren; Chirp tone; Car alarm",
    "alarm_clock": f"{RINGS}; {BEEPS}; Smoke detector, smoke alarm; Fire alarm; Clock; "
    "Reversing beeps; Electronic music; Music; Theremin",
    "siren": "Siren; Civil defense siren; Emergency vehicle; Police car (siren); Ambulance (siren); "
    "Fire engine, fire truck (siren); Alarm; Car alarm",
    "phone_ring electronic_chime": f"{RINGS}; {BEEPS}; {MUSICAL}; Ding; Ding-dong; Doorbell; Chime; "
    "Sound effect; Effects unit; Marimba, xylophone; Glockenspiel; Mallet percussion; Percussion; "
    "Keyboard (musical); Synthesizer; Plop; Whistle; Electronic music; Chirp tone; Jingle (music); "
    "Video game music; Vibraphone; Guitar; Piano; Theremin; Harp; Jingle, tinkle; Clicking; Harmonic; "
    "Tick; Plucked string instrument; Electric piano",
    "phone_dialing": "Telephone dialing, DTMF; Telephone; Dial tone; Busy signal; Beep, bleep",
    "doorbell": f"{RINGS}; Doorbell; Ding-dong; Ding; Chime; {MUSICAL}; Church bell; Glockenspiel; "
    "Marimba, xylophone; Vibraphone; Mallet percussion",
    "appliance_beep checkout_beep reversing_beep intercom_buzzer": f"{BEEPS}; {RINGS}; "
    "Reversing beeps; Smoke detector, smoke alarm; Fire alarm; Cash register; Microwave oven; "
    "Busy signal; Dial tone; Electronic tuner; Music; Hum; Theremin; Foghorn; "
    "Vehicle horn, car horn, honking",
    "car_alarm": f"{BEEPS}; Car alarm; Siren; Vehicle horn, car horn, honking; Civil defense siren; "
    "Emergency vehicle",
    "kettle": "Whistle; Steam whistle; Steam; Boiling; Whistling; Train whistle; Hiss",
    "church_bells bell bicycle_bell train_crossing_bell": "Bell; Church bell; Bicycle bell; "
    "Jingle bell; Chime; Change ringing (campanology); Gong; Tubular bells; Singing bowl; Ding; "
    "Wind chime; Ding-dong; Doorbell; Clang; Telephone bell ringing; Alarm; Jingle, tinkle; "
    "Percussion; Cowbell; Glockenspiel; Tuning fork; Music; Musical instrument",
    "car_horn": "Vehicle horn, car horn, honking; Toot; Air horn, truck horn; Car; Vehicle; Honk; "
    "Train horn; Foghorn; Traffic noise, roadway noise; Motor vehicle (road)",
    "train_horn ship_horn": "Train horn; Train whistle; Train; Rail transport; Air horn, truck horn; "
    "Foghorn; Ship; Steam whistle; Whistle; Vehicle horn, car horn, honking; Toot",
    "door_knock hammering": "Knock; Tap; Door; Wood; Thump, thud; Bang; Hammer; Thunk; Whack, thwack; "
    "Slam; Tools; Walk, footsteps",
    "door_slam door_creak": f"{SLIDES}; Knock; Thunk; Bang; Squeal; Whack, thwack; Walk, footsteps; "
    "Clicking; Smash, crash",
    "cupboard drawer": f"{SLIDES}; Knock; Thunk; Bang; Roll; Zipper (clothing); Clicking; Tools; "
    "Clatter; Walk, footsteps; Whack, thwack; Dishes, pots, and pans",
    "keyboard_typing mouse_click": "Typing; Computer keyboard; Typewriter; Clicking; Tap; Mouse; "
    "Tick; Camera; Keys jangling; Single-lens reflex camera; Ratchet, pawl; Mechanisms; Shuffling cards",
    "clock_tick": "Clock; Tick; Tick-tock; Clicking; Mechanisms; Ratchet, pawl; Tap",
    "page_turning": "Crumpling, crinkling; Rustle; Tearing; Rub; Shuffling cards; Writing; Scratch; "
    "Zipper (clothing); Whoosh, swoosh, swish; Scissors",
    "vacuum_cleaner": f"Vacuum cleaner; {HUMS}",
    "blender juicer": f"Blender; {HUMS}; Power tool; Drill; Electric shaver, electric razor; "
    "Dental drill, dentist's drill; Tools; Light engine (high frequency); Electric toothbrush; "
    "Sewing machine; Printer",
    "microwave": f"{HUMS}; {BEEPS}; Door; Clicking; Alarm",
    "washing_machine dishwasher fridge_hum fan machine_hum": f"{HUMS}; {WATERS}; Idling; Vehicle; "
    "Aircraft; Train; Printer; Power tool; Rumble; Sewing machine; Motor vehicle (road); Truck; "
    "Boiling; Rail transport",
    "stove_burner": "Fire; Clicking; Tick; Hiss; Steam; Mechanisms; Whoosh, swoosh, swish; Spray; "
    "Door; Crackle; Frying (food)",
    "frying_sizzle": "Frying (food); Sizzle; Fire; Crackle; Rain; Boiling; Water; Liquid; Stir; "
    "Rain on surface; Dishes, pots, and pans",
    "chopping peeling": f"{FOOD}; {CHEWS}; {SAW}; Scissors; Tools",
    "dishes cutlery": f"{FOOD}; Clang; Chink, clink; Glass; Clatter; Keys jangling; Coin (dropping); "
    "Jingle, tinkle; Ding",
    "can_opening": "Burst, pop; Crack; Clicking; Spray; Hiss; Whip; Zipper (clothing); Crushing; "
    "Tearing; Thunk; Mechanisms; Tools; Liquid; Clang; Plop; Tap; Smash, crash; Crumpling, crinkling; "
    "Whack, thwack",
    "sweeping": "Rub; Scrape; Scratch; Rustle; Walk, footsteps; Shuffle; Sanding; Tools; Breaking; "
    "Crumpling, crinkling; Whoosh, swoosh, swish; Filing (rasp)",
    "glass_breaking crash": "Glass; Shatter; Smash, crash; Breaking; Chink, clink; Coin (dropping); "
    "Dishes, pots, and pans; Crack; Clatter; Bang",
    "steam_hiss": "Steam; Hiss; Spray; Air brake; Static; White noise; Whoosh, swoosh, swish",
    "engine motorcycle truck_bus traffic": f"{ENGINES}; Aircraft; {HUMS}",
    "train": "Train; Rail transport; Railroad car, train wagon; Train wheels squealing; "
    "Subway, metro, underground; Clickety-clack; Train whistle; Train horn; Vehicle",
    "helicopter airplane": f"{FLIES}; {ENGINES}",
    "chainsaw power_saw power_drill": f"{SAW}; Chainsaw; Drill; Jackhammer; Lawn mower; {ENGINES}; "
    "Electric shaver, electric razor; Dental drill, dentist's drill",
    "hand_saw": SAW,
    "gunshot explosion fireworks": BANGS,
    "music": f"{MUSICAL}; Singing; Electronic music; Synthesizer; Guitar; Piano; Drum; Percussion; "
    "Keyboard (musical)",
    "guitar piano": f"{MUSICAL}; Plucked string instrument; Guitar; Acoustic guitar; Electric guitar; "
    "Bass guitar; Piano; Electric piano; Keyboard (musical); Strum; Harp; Banjo; Mandolin; Ukulele; "
    "Synthesizer",
    "violin cello double_bass": f"{MUSICAL}; {BOWED}; Guitar; Bass guitar; {BLOWN}",
    "flute clarinet saxophone trumpet": f"{MUSICAL}; {BLOWN}; {BOWED}; Harmonica; Accordion; Organ; Theremin",
    "drum": f"{MUSICAL}; Drum; Drum kit; Snare drum; Bass drum; Percussion; Cymbal; Hi-hat; Rimshot; "
    "Drum machine; Drum roll; Timpani; Tabla; Thump, thud; Beatboxing; Sound effect; Tap; "
    "Electronic music; Clapping",
}
"""Labels -> the classes of which hearing one is no contradiction."""

RIVALS = {
    "man_speech": "Female speech, woman speaking",
    "woman_speech": "Male speech, man speaking",
}
"""Labels that another class contradicts though the forgiven ones are heard."""
GENERIC = frozenset(["Sound effect", "Inside, small room", "Silence", "Noise", "Music", "Speech", "Animal"])
"""Classes too broad to contradict anything."""
