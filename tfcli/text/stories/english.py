"""The grammar of the English stories; its notation is explained in `grammar.py`."""

from tfcli.text.stories.grammar import Grammar

GIRLS = """Mila Nora Poppy Hazel Willa Tilda Juno Etta Clover Rosie Ivy Pearl Olive Saffron Lotta Minna Greta
    Daisy Pippa Marigold Wren Dora Bella Flora Agnes Betsy Cora Edith Fanny Hattie Jemima Kitty Luna
    Mabel Nelly Ruby"""
BOYS = """Otto Finn Basil Rufus Oscar Barnaby Jasper Toby Hugo Felix Alfie Bertie Monty Rowan Ned Gus Linus
    Wilf Casper Digby Arlo Percy Teddy Silas Amos Bruno Caleb Edgar Frank Giles Henry Ivan Jonah
    Quentin Leo Milo"""
CHILDREN = " | ".join(
    [f"{girl} / she / her / her" for girl in GIRLS.split()]
    + [f"{boy} / he / him / his" for boy in BOYS.split()]
)

NOTATION = """
# A story presents its hero, lets one of ten plots happen, and comes back to where it began.

story = {start} ¶ {plot} {coda}
plot = {a_loss} | {an_illness} | {a_storm} | {a_newcomer} | {a_contest} | {an_accident} |
    {a_sleepless_night} | {a_secret} | {a_birthday} | {a_rescue}

start =
    {Ago} a {temper} {kind} [called|named] {hero} lived {home} in {village}. {habit}
    | [In|Near|Not far from] {village}, {home}, lived a {temper} {kind} [called|named] {hero}. {habit}
    | {Hero} was a {temper} {kind} from {village} who lived {home}. {habit}
    | [Do you know|Have you met|Who does not know] {hero}, the {temper} {kind} [from|of] {village}? {habit}
ago = once upon a time | long ago | not so long ago | many years ago |
    {some} [winters|summers|moons|harvests] ago | when the [moon|sea|forest|wind] was
    [younger|nearer|quieter|kinder]
home = in [a burrow|a cellar|a hut|a cottage|a barrel|an attic|a caravan|a tree house]
    [behind|near|opposite|below] the {house}
habit =
    {Hero.he} [wore|owned|treasured] a {colour} {cloth} {garment} and [liked|loved|enjoyed] {hobby}.
    | {Hero.he} [loved|needed|wanted] two things: a {colour} {cloth} {garment} and {hobby}.
    | In a {colour} {cloth} {garment}, {hero.he} spent [the days|the evenings|Sundays|rainy days|every free
        hour] {hobby}.
    | Nobody was [better at|fonder of|quicker at] {hobby}, always in a {colour} {cloth} {garment}.

coda =
    Then {hero} went back to {hobby}, with {dish5} and {a_beast} [for company|as a guest|to watch].
    | That night {hero} dreamed of {some} {paint} {beast}s in {paint} {garment2.all}, {hobby}.
    | And {friend} [bought|sewed|borrowed|knitted|found] a {paint} {cloth2} {garment} too, for {hobby} on
        {day}s.
    | {Elder} [painted|embroidered|stitched|knitted] {a_beast} on the {garment}, with {some} {paint}
        buttons.
    | [Now|Today|Since then] they both love {hobby}, best of all with {dish5} and {dish6}.
    | "[And now|What next]?" {asked} {friend} {gently}. "{Hobby}," {said} {hero} {gently}, "with {dish5}."

# Plot 1: something is lost.

a_loss = {lost} {lost_search} ¶ {lost_talk} ¶ {lost_found}
lost =
    {When} {hero} lost {hero.his} {colour3} {toy} {place}. It was a {present} from {elder} the {job}.
    | {When} {hero} had {hero.his} {colour3} {toy}, a {present} from {elder} the {job}, {place}. By
        [noon|teatime|sunset|nightfall] it was [gone|lost].
    | "Where is my {colour3} {toy}?" [cried|sobbed|called|gasped] {hero} {when}. It was a {present} from
        {elder} the {job}, and it was lost {place}.
present = present | gift | keepsake | souvenir | reward
lost_search =
    {Hero.he} [looked|searched|rummaged] {place.near}, {place.far} and {place.deep}, but found only {trifle}
        and {trifle2}.
    | {Place.near} lay {trifle}, {place.far} {trifle2}, {place.deep} {a_beast}, but no {toy}.
    | {Place.near}? Only {trifle}. {Place.far}? Only {trifle2}. {Place.deep}? {A_beast}.
lost_talk =
    "{Oh}!" {cried} {friend} the {kind2}, who was {idle}. "Where did you [stop|rest|linger]?" "I {paused}
        {side} the {landmark}," {said} {hero} {gently}.
    | {Friend} the {kind2} [stopped|paused in] {idle}. "Think [hard|back|again]," {friend.he} {said}
        {gently}. And {hero} [remembered|recalled]: "I {paused} {side} the {landmark}!"
paused = [fed|counted|drew] the [ducks|clouds|swallows|snails] | ate {dish} |
    took [a nap|off my {garment}|a rest] | picked {flower} | talked to {surname2} | tied my [shoe|bootlace] |
    played {game}
lost_found =
    [Back|Off] they [ran|raced|hurried|went|dashed]. {Side} the {landmark}, between {a_beast} and {trifle3},
        lay the {toy}, and {hero} {toy.joy}.
    | {Side} the {landmark} sat {a_beast} with {trifle3}, and in front of it [lay|shone|waited] the {toy}.
        {Hero} {toy.joy}.

plaything (name / joy) as toy, toy2 =
    kite / flew it over {some} roofs | whistle / blew it for {some} geese | spinning top / spun it {some}
        times | music box / wound it up for {friend} | compass / found the way to {dish4} | drum / drummed
        for {some} {beast}s | marble / showed it to {some} {beast}s | lantern / lit it for {some} moths |
        telescope / saw {some} craters on the moon | boat / sailed it with {some} {beast}s on board | bell /
        rang it {some} times | mouth organ / played {some} jigs | parasol / danced under it with {friend} |
        puppet / made it bow {some} times | flute / played for {some} larks | magnifying glass / looked at
        {friend}'s {kind2.nose} | hoop / rolled it past {some} gates | watch / wound it {some} times | rag
        doll / kissed it {some} times | paintbrush / painted {some} {paint} suns | yo-yo / made it dance
        {some} times | skipping rope / skipped {some} times | globe / spun it past {some} seas | trumpet /
        woke {some} owls

# Plot 2: a friend is ill and will miss the feast.

an_illness = {ill} {ill_wish} ¶ {ill_help} {ill_cure} ¶ {ill_fair} {ill_end}
ill =
    {When} {hero} [called for|came to fetch] {friend} the {kind2} for {fair}. But {friend} lay in bed with
        {ailment}, as pale as {a_pale}.
    | {When}, instead of going to {fair}, {friend} the {kind2} lay in bed with {ailment}, like {a_pale}.
    | {When} {friend} the {kind2} had {ailment} and looked like {a_pale}. No thought of {fair}! {Hero}
        brought {dish}.
a_pale = a [peeled|cold|wet|stale|sleepless|frozen|lonely|boiled]
    [radish|candle|cheese|sock|turnip|mushroom|sheet|potato|ghost|dumpling|pillow|snowman]
ill_wish =
    "[Now|So] I shall miss {fair.best}," {sighed} {friend} {sadly}.
    | "[Bring|Tell] me {fair.best}," {sighed} {friend} {sadly}.
ill_help =
    {Hero} [ran|hurried|raced|dashed] to {elder} the {job}, who was {idle}.
    | {Hero} fetched {elder} the {job}, who [left|stopped] {idle}.
ill_cure =
    "{Some} spoonfuls of {ailment.cure}, {some} times a day," {said} {elder} {gently}, "and [no more|not one
        bite of] {course}."
    | "{Some} cups of {ailment.cure}," {said} {elder} {gently}, "and {some} [jokes|songs|stories|riddles]."
    | {Elder} took {trifle}, stirred {some} cups of {ailment.cure} and whistled {gently}.
ill_fair = [Meanwhile|Then|At {hour}|On {weekday2}] {hero} {fair.bring}.
ill_end =
    {Friend} laughed so [much|hard|loudly] that {ailment.gone}, and ate {dish2}.
    | "{Oh}!" {cried} {friend} {loudly}, and {ailment.gone}.
    | [Soon|Next day] {ailment.gone}. Now {hero} had {ailment}, and {friend} brought {dish2} and {dish3}.

festivity (name / best / bring) as fair =
    the lantern parade / the {colour3} lanterns / hung up {some} {colour3} lanterns outside
    | the apple fair / the toffee apples / dipped {some} {vegetables} in toffee
    | the midsummer dance / the [fiddles|waltzes] / danced round the bed with {trifle2}
    | the puppet show / the [crocodile|devil|robber] / made {some} puppets out of {paint} socks
    | the boat race / the {colour3} sails / raced {some} nutshells with {colour3} sails in a tub
    | the kite festival / the {colour3} kites / flew {some} {colour3} handkerchiefs outside
    | the harvest feast / the {course2} / carried in {some} baskets of {course2}
    | the circus / the [jugglers|clowns] / juggled {some} {vegetables} and {trifle2}
    | the flower market / the {flower2} / planted {some} {paint} {flower2} under the window
    | the brass band / the [big drum|trombones] / beat {some} pots with {trifle2}
    | the wedding of {surname2} the {kind3} / the {colour3} coach / came by in a {colour3} wheelbarrow, in
        {flower2}
illness (name / cure / gone) as ailment =
    a cold / {herb} tea with {herb2} / the sneezing stopped | a cough / {herb} syrup with {herb2} / the
        cough was gone | a sore throat / {jam} juice with {herb} / {friend.his} voice came back | a fever /
        {herb} tea with {jam} juice / the fever was gone | a stomach ache / {herb} tea with {herb2} / the
        pain was gone | a toothache / {herb} oil with cloves / the tooth fell out | an earache / warm {herb}
        oil / both ears were well | a sprained ankle / {herb} ointment / the ankle could hop | the hiccups /
        {jam} juice with {herb} / the hiccups stopped | {paint} spots / {herb} milk / the spots were gone

# Plot 3: a storm breaks something that everybody needs.

a_storm = {storm} ¶ {storm_need} {storm_call} ¶ {storm_work} {storm_end}
storm =
    {When} a storm [came|blew in] from the [sea|hills|moor|lake|forest|north|west], {roaring} like {some}
        {paint} {wolves}. It {harm}.
    | {When} the wind began {roaring} like {some} {paint} {wolves}. It {harm}, and {trifle} fell on {hero}'s
        [roof|doorstep|bed|{kind.nose}].
roaring = [roaring|howling|rumbling|whistling|snorting|shrieking]
wolves = [wolves|trains|bears|giants|trumpets|lions|drums|kettles|bagpipes|saws|tigers|elephants]
storm_need =
    "{Oh}," {sighed} {friend} the {kind2} {sadly}. "{Harm.so}. All I have is {trifle2} and {dish}."
    | "{Harm.so}, and I am [just|only] {kind2.a}," {sighed} {friend} {sadly}, [clutching|holding|hugging]
        {trifle2}.
storm_call =
    {Hero} tied the {colour} {garment} to a stick and called {elder} the {job}, {surname2} the {kind3} and
        {some} {beast}s.
    | But {hero} {kind.went} from door to door. {Elder} the {job} brought {some}
        [ropes|nails|ladders|saws|hammers], and {surname2} the {kind3} brought {dish2}.
    | "[Alone, no|Not alone]," {said} {hero} {gently}. So {elder} the {job} stopped {idle}, and {surname2}
        the {kind3} came with {a_beast}.
storm_work =
    For {some} [days|hours|evenings] they worked, and ate {dish3} and {dish4}. They {harm.done}.
    | {Elder} told {some} [jokes|stories|riddles] {gently}, {friend} counted to {some}, and all together
        they {harm.done}.
    | It took {some} [buckets|pots|jugs] of {herb} tea and {some} [songs|blisters|days], but they
        {harm.done}.
storm_end =
    {Harm.proof}, and {everyone} [cheered|clapped|danced|whistled].
    | {Harm.proof}. "The wind," {said} {elder} {gently}, "has no [friends|neighbours|{course}]."
    | {Harm.proof}. The next storm, in {month2}, saw {some} {paint} flags and [turned round|went
        away|blushed].
everyone = everyone | everybody | all {village} | even {a_beast} | the neighbours
damage (what / so / done / proof) as harm =
    blew the roof off {friend}'s house / it rains into my [bed|soup|piano|{garment}] / nailed down {some}
        [oak|pine|elm] planks / not a drop came in
    | broke the bridge to the mill / there is no flour for {course} / laid {some} [oak|pine|elm] trunks
        across / {some} sacks came over
    | put out the lighthouse / {some} boats cannot find home / lit {some} {paint} lanterns on the rocks /
        every boat came in
    | tore the sails off the windmill / there is no flour for {course} / sewed sails from {some} {paint}
        sheets / the mill turned
    | filled the well with mud / there is only {jam} juice to drink / lifted out {some} buckets of mud / the
        water ran clear
    | threw down the swallows' nests / {some} swallows are homeless / wove {some} nests of [straw|moss|wool]
        / the swallows sang
    | laid the bean rows flat / there will be no beans in {month2} / tied the beans to {some} {paint} poles
        / the beans climbed
    | threw an oak across the road / the milk cart cannot pass / sawed it into {some} {paint} stools / the
        cart rattled by
    | stole the school bell / nobody knows when lessons begin / hung up {some} [pots|bottles|spoons] / how
        they rang
    | flooded the bakery / there is no {course} / carried off {some} buckets of water / the oven was lit
    | tipped over the beehives / {few} hundred bees are cross / built {some} [straw|wicker|{paint}] hives /
        the bees hummed

# Plot 4: a shy newcomer shows what he or she can do.

a_newcomer = {arrival} {shyness} ¶ {new_try} {new_tip} ¶ {new_trouble} {new_speaks} {new_end}
arrival =
    {When} a {paint} [cart|boat|wagon|sledge|balloon] brought {friend}, {kind2.a} from {village2}, to
        {village}.
    | {When} {friend}, a {temper2} {kind2} from {village2}, moved in {side} the {landmark}.
shyness =
    {Friend.he} [spoke|talked] only to {a_beast} and blushed like {a_berry}.
    | {Friend.he} hid behind {trifle} and said [nothing|not a word|only {some} words].
    | {Friend.he} looked at the [ground|clouds|sky|grass] and [hummed|mumbled|whispered] {gently}.
a_berry = a [cherry|strawberry|raspberry|cranberry|tomato|sunset|radish|poppy|beetroot|lobster]
new_try =
    "Do you [like|enjoy] {hobby}?" {said} {hero} {gently}. [No answer|Silence].
    | {Hero} [asked|invited] {friend.him} to play {game}, but {friend} [ran|slipped|crept|fled] away.
    | {Hero} offered {dish}, then {dish2}, but {friend} shook {friend.his} head.
new_tip =
    "{Patience}," {said} {elder} the {job} {gently}. So {hero} left {dish3} on {friend}'s [step|wall|sill],
        and found {trifle2} on {hero.his} own.
    | "{Patience}," {said} {elder} the {job} {gently}. So {hero} sat {some} steps away with {dish3} and
        [waited|hummed|read].
    | "{Patience}," {said} {elder} the {job}, who was {idle}. "Nobody pulls at {flower} to make them
        [open|grow]."
patience = patience | wait | little by little | gently does it | give it time | some doors open slowly |
    take your time
new_trouble =
    On {weekday2} {talent.trouble}. {Surname2} the {kind3} [tried|ran in circles|shouted], in vain.
    | On {weekday2} {talent.trouble}. {Oh}!
new_speaks =
    "I can {talent}," {whispered} {friend} {shyly}, and {talent.deed}.
    | Behind {trifle3} {friend} {whispered}: "I can {talent}." And {friend.he} {talent.deed}.
new_end =
    "{Oh}!" {cried} {elder} {loudly}. "Why did you never tell us?" "Nobody asked," {said} {friend} {gently}.
    | {Everyone} [cheered|clapped]. "{Game}?" {said} {friend} {gently}, and {hero} [nodded|beamed].
    | Since then {friend} has talked so much that {elder} wears {some} {paint} [earmuffs|scarves].
skill (name / trouble / deed) as talent =
    climb / the [school|church|bakery] key fell down the well / came up with the key and {a_beast}
    | whistle / {some} boats were lost in the fog / whistled until {some} sails appeared
    | see in the dark / {some} [ducklings|lambs|goslings] were lost in the wood / found them behind
        {trifle5}
    | swim / {some} baskets of {course} fell into the river / came ashore with {course} and {a_beast}
    | mend clocks / the [church|school|station] clock stopped at {hour} / oiled {some} wheels with {herb}
        oil
    | tell stories / the lamp went out at the puppet show / told {some} stories about {beast}s in the dark
    | sew / the {paint} circus tent tore / sewed it up with {some} yards of {paint} thread
    | bake / the wedding cake fell on {a_beast} / baked a new one, with {some} sugar {flower}
    | read maps / {some} children lost their way on the moor / found them {some} miles to the
        [north|south|east|west]
    | play the accordion / the fiddler broke {some} strings / played {some} [waltzes|polkas|jigs]
    | dig / {some} rocks shut the [bakery|school|library] door / dug a tunnel {some} feet long
    | speak to bees / {few} hundred bees settled on {elder}'s hat / led them to the {flower}

# Plot 5: a contest in which a rival needs help.

a_contest = {notice} {contest_wish} ¶ {contest_rival} {contest_trouble} ¶ {contest_choice} {contest_end}
notice =
    {When} a {paint} notice hung {side} the {landmark}: "{Contest}! First prize: {prize}."
    | "{Contest}! First prize: {prize}!" said a {paint} notice {side} the {landmark} {when}.
prize = a [golden|silver|giant|chocolate|crystal] [spoon|cup|bell|cheese|teapot|pear|whistle|crown] |
    {some} [baskets|barrels|sacks] of {course} | a ride in a {paint} [balloon|steamboat|coach|sleigh]
contest_wish =
    {Hero} {contest.made} for {some} [days|evenings], and forgot about {hobby}.
    | "That is for me," {said} {hero} {gently}, and {contest.made} until {until_late}.
    | {Hero} [dreamed|thought] of nothing else, and {contest.made} over {dish}.
contest_rival =
    But so did {friend} the {kind2} [across the road|next door|downstairs]. "May the [better|kinder|braver]
        one win," {said} {elder} the {job}, who was {idle}.
    | "{Friend} the {kind2} is [good|clever|quick]," {said} {elder} the {job} {gently}, over {dish2}.
contest_trouble =
    On {weekday2} {some} [trumpets|drums|bells] sounded, {surname2} the {kind3} waved {trifle}, and
        {contest.mishap}!
    | The day came, with {flower} and {dish3} for all. But, {oh}, {contest.mishap}!
contest_choice =
    {Hero} [looked|glanced] at the prize, at {friend} and at {a_beast}, and {contest.help}.
    | [Nobody|No one] moved but {a_beast}. "Wait!" {cried} {hero} {loudly}, and {contest.help}.
    | "{Oh}," {sighed} {friend} {sadly}. So {hero} {contest.help}.
contest_end =
    {Contest.result}. "Two winners!" {cried} {elder} {loudly}, and {some} {beast}s cheered.
    | {Contest.result}. The prize went to {surname2} the {kind3}, who had lost {some} times.
    | {Contest.result}. "Why?" {asked} {friend} {gently}. "Alone it is no fun," {said} {hero} {gently}.
competition (name / made / mishap / help / result) as contest =
    kite contest / glued {some} {paint} kites / {friend}'s string snapped / cut {hero.his} own in two /
        {some} {beast}s watched two kites dance
    | raft race / tied {some} barrels together / {friend}'s raft lost its sail / made one of the {colour}
        {garment} / both rafts landed at {hour}
    | pie contest / stirred {some} pots of {jam} jam / {friend}'s oven went out / made room in {hero.his}
        own / two pies came out golden
    | pumpkin contest / watered a pumpkin with {herb} tea / {friend}'s pumpkin rolled off / let go of
        {hero.his} own to catch it / both pumpkins had {some} dents
    | scarecrow contest / stuffed a {paint} scarecrow / {some} crows stole {friend}'s straw / shared
        {hero.his} own / two scarecrows stood arm in arm
    | sandcastle contest / built {some} towers / {some} waves took {friend}'s wall / dug a ditch around both
        castles / both castles outlived the tide
    | singing contest / sang {some} scales / {friend} lost {friend.his} voice / began to sing for two / it
        sounded like {some} larks
    | sledge race / waxed a {paint} sledge / {friend}'s sledge lost a runner / moved over on {hero.his} own
        / they passed {some} sledges
    | lantern contest / cut {some} stars into a lantern / the wind blew out {friend}'s candle / shared
        {hero.his} own flame / {some} moths danced round both
    | flower show / sang to {some} {paint} {flower} / {some} snails ate {friend}'s {flower2} / shared out
        the {flower} / two pots stood side by side
    | cooking contest / peeled {some} {vegetables} / {friend}'s soup burned / fetched {herb}, {herb2} and a
        bigger pot / one soup tasted of both

# Plot 6: something breaks, and it is hard to say so.

an_accident = {broken} {Treasure.crash}. {broken_hide} ¶ {broken_friend} ¶ {broken_tell} {broken_mend}
broken =
    {When} {hero} [secretly|boldly|quietly] played {game} in the [kitchen|parlour|workshop|attic] of {elder}
        the {job}.
    | "No {game} in here," {elder} the {job} had said {gently}. But {when} {hero} played it [all the
        same|anyway|with {a_beast}].
broken_hide =
    {Hero} [swept|hid|pushed] it under {trifle} and ran. But {dish} tasted of nothing, and neither did
        {dish2}.
    | "It was {a_beast}," {hero} [practised|rehearsed|lied] {gently}. {Hero.his} {kind.nose}
        [itched|burned|tingled].
    | {Hero} ran home, ate no {dish} and lay awake until {until_late}.
broken_friend =
    "You look like {a_pale}," {said} {friend} the {kind2}, who was {idle}. {Hero} confessed. "[Come|Go and
        tell]," {said} {friend} {gently}. "It takes {some} seconds."
    | {Friend} the {kind2} heard it all over {dish3}. "I will [hold your hand|come with you|count to
        {some}]," {friend.he} {said} {gently}.
broken_tell =
    {Hero} swallowed {some} times. "It was me," {hero.he} {whispered} {shyly}.
    | {Elder} was {idle} when they came. "It was me," {whispered} {hero} {shyly}.
    | "It was me," {whispered} {hero} {shyly}. "Take my {paint} {toy} for it."
broken_mend =
    "I [knew|guessed]," {said} {elder} {gently}. They {treasure.mend}. Now it has {treasure.sign}.
    | "I once broke {some}," {said} {elder} {gently}. They {treasure.mend}. Now it has {treasure.sign}.
    | {Elder} forgave {hero.him} over {course}. They {treasure.mend}. Now it has {treasure.sign}.
heirloom (crash / mend / sign) as treasure =
    crack, the {paint} teapot lay in {some} pieces / glued it with {herb} resin / {some} lines, like rivers
        on a map
    | bump, the cuckoo clock stopped at {hour} / turned {some} tiny screws / a cuckoo that calls {some}
        times
    | twang, the violin lost {some} strings / strung it with {paint} wire / a scratch like {a_beast}
    | crash, the {paint} mirror broke into {some} bits / set the bits in a {paint} frame / {some} moons in
        it every night
    | snap, the rocking chair lost a leg / carved one of {tree} wood / a leg that smells of {tree}
    | clink, the window had {some} holes / put in {paint} panes / a patch of {paint} light
    | clatter, the vase of {flower} fell / filled {some} cracks with gold / golden veins and {some} dents
    | thump, the globe rolled down {some} stairs / painted {some} seas anew / an island called {hero}
    | crunch, the {paint} spectacles were flat / bent a frame from {some} wires / one round glass and one
        {paint} one
    | splash, {jam} jam ran over a book / washed {some} pages / pages that smell of {jam} and {herb}
    | rip, the {paint} curtain came down / sewed it up with {paint} thread / a seam like {a_beast}

# Plot 7: somebody cannot sleep because of a noise.

a_sleepless_night = {awake} {guess} ¶ {dare} {meet} {noise.truth}. ¶ {calm} {sleep_end}
awake =
    {Night} {hero} could not sleep. {Noise}, it went [on the roof|in the dark|under the floor|outside|behind
        the stove].
    | {Night} {hero} woke from a dream of {some} {beast}s. {Noise}, it went.
night = [one|that] {weather} night in {month} | at {hour} on a {weather} {weekday} night |
    on the night of the {ordinal} of {month}
guess =
    Was it {monster} {menace}? Or {monster2} {menace2}?
    | {Hero.he} thought of {monster} {menace} and pulled the {paint} blanket over {hero.his} {kind.nose}.
    | {Hero.he} counted {few} hundred {vegetables}, but thought of {monster} {menace}.
fiend as monster, monster2 = a dragon | a giant | a pirate | a troll | a ghost | a robber | a witch |
    a crocodile | a werewolf | an ogre | a vampire | a sea serpent | a goblin | a headless knight
trait as menace, menace2 = with a cold | with {some} [heads|teeth|noses|legs] | on stilts | in clogs |
    on a bicycle | in a {paint} [nightcap|{garment2}] | looking for {dish4} | fond of {course} |
    carrying {trifle3}
dare =
    [So|Then] {hero.he} put on the {garment}, took {trifle} and [crept|tiptoed|stepped] out.
    | "Enough," {said} {hero} {gently}, took {trifle} and [crept|tiptoed|stepped] out.
meet =
    {Side} the {landmark} stood {friend} the {kind2}, armed with {trifle2}. "I heard it too," {whispered}
        {friend} {shyly}. Then they saw it:
    | {Side} the {landmark} {hero.he} met {friend} the {kind2}. "Are you {monster}?" {whispered} {friend}
        {shyly}. "Not yet," {whispered} {hero} {shyly}. Then they saw it:
calm =
    They laughed, [woke|startled] {some} [ducks|hens|sparrows|geese], and {noise.cure}.
    | "So much fear for nothing," {said} {friend} {gently}. They {noise.cure}.
    | "{Oh}!" {cried} {hero} {loudly}. And they {noise.cure}.
sleep_end =
    It grew so [still|quiet] that you could hear the {flower} grow, and {elder} the {job}
        [snore|sing|dream].
    | {Elder} the {job} brought {dish2}, and by {hour} both were asleep.
    | {Friend} stayed for {dish2} and {dish3}, with {elder} the {job}, who was {idle}.
night_noise (sound / truth / cure) as noise =
    tap, tap, tap / a loose {paint} shutter / tied it with {some} ribbons
    | hoo, hoo, hoo / a young owl who was lost / carried him home to a {tree}, {some} steps away
    | creak, creak, creak / a weathercock, stiff with rust / gave it {some} drops of {herb} oil
    | drip, drip, drip / a leaking gutter over {trifle3} / stopped it up with {course}
    | scratch, scratch, scratch / {a_beast} with cold feet / made it a bed in a {paint} [shoe|cup|hat|glove]
    | ding, ding, ding / a goat with a bell, eating {flower} / led it home with {some} {vegetables}
    | sniff, sniff, sniff / a puppy, afraid of {trifle3} / gave him {course} and {some} kisses
    | buzz, buzz, buzz / {some} bees, locked into a lantern / let them out among the {flower}
    | rumble, rumble, rumble / a {paint} barrel, rolling in the wind / filled it with {some} stones
    | clack, clack, clack / {surname2} the {kind3}, knitting {garment.all} out of loneliness / stayed for
        {some} stories
    | plop, plop, plop / {vegetables}, falling from a cart / gathered {some} in the {garment}

# Plot 8: a secret is found, and is better when shared.

a_secret = {found} {secret_try} ¶ {secret_ask} ¶ {secret_go} {Find.opens}. {secret_inside} {secret_share}
found =
    {When}, {place}, {hero} found {find}, {place.near}, between {trifle} and {trifle2}.
    | {When}, {place}, {hero} saw {a_beast} {place.near}. It was sitting on {find}!
secret_try =
    For {some} [days|nights] {hero.he} told nobody but {a_beast}, and [learned|found out] nothing.
    | {Hero.he} hid it in the {garment}, but by {weekday2} even {dish} tasted of it.
secret_ask =
    "You look as if you had swallowed {trifle3}," {said} {friend} the {kind2} {gently}. So they went to
        {elder} the {job}, who was {idle}.
    | {Friend} the {kind2} [stopped|left off] {idle}. "{Oh}!" {friend.he} {cried} {loudly}. "[Let us|We
        should] ask {elder} the {job}."
secret_go =
    "I have waited {some} years for that," {said} {elder} {gently}, and led them to the {landmark}.
    | They packed {dish2} and {dish3}, and {elder} led them to the {landmark}.
secret_inside = [There they|Behind it they|Inside they] found {hoard}. | And inside? {Hoard}!
hoard = a {paint} [carousel|puppet theatre|piano|toboggan|railway] with {some} {paint}
    [bells|horses|lamps|stars|wheels] | {some} {paint} [kites|lanterns|drums|masks|puppets] |
    {some} jars of {jam} jam | a garden of {paint} {flower} | {few} hundred [fairy tales|picture books|sea
    stories|songs] about {beast}s
secret_share =
    "It is like {course}," {said} {hero} {gently}. "Better [shared|for two|in company]."
    | On {weekday3} they showed it to {everyone}, and {some} [friends|neighbours|children] came.
    | "I [hid|left] it there," {said} {elder} {gently}, "when I was {few}."
finding (name / opens) as find =
    a [rusty|tiny|silver|golden|crooked] key / the key opened a {paint} door
    | half a map, [torn|burnt|nibbled|folded] / the other half was under {some} stones
    | a {paint} bottle with a [letter|note|poem] in it / they dug {some} feet deep, as the bottle said
    | a {paint} feather as long as {some} {vegetables} / the feather pointed to a cave
    | a stone with {some} carved [stars|moons|fishes|hearts] / the stone fitted into a {paint} wall
    | a [brass|copper|silver] button with an anchor / {some} more buttons shone on a sea chest
    | an arrow of [white|round|striped|wet] pebbles / {some} more arrows led to a {paint} gate
    | ticket number {few} / {some} spiders guarded a {paint} booth
    | a {paint} thread without an end / the thread ran on through {some} hedges

# Plot 9: a birthday, and no money for a present.

a_birthday = {birthday} {gift_wish} ¶ {gift_make} {gift_harm} ¶ {gift_help} {gift_give}
birthday =
    {When} {elder} the {job} {said} {gently}: "[Tomorrow|On {weekday2}] is {friend}'s birthday!" {Hero} had
        {trifle}, {trifle2} and not one penny.
    | "[Tomorrow|On {weekday2}] is {friend}'s birthday," {said} {elder} the {job} {gently}. {Hero}'s money
        box held {trifle} and {a_beast}.
gift_wish =
    A {paint} {toy} for {friend} the {kind2} cost {some} [coins|pennies|crowns] at {surname2}'s.
    | {Friend} the {kind2} had wished for a {paint} {toy} since the {ordinal} of {month3}.
gift_make =
    So {hero} began {craft} and [worked|toiled] until {until_late}.
    | "Make [something|one thing] yourself," {said} {elder} {gently}. So {hero} began {craft}.
gift_harm =
    But {craft.harm}. "{Oh}," {sighed} {hero} {sadly}.
    | But {craft.harm}. {Hero} threw the {garment} [at|over|behind] {trifle3}.
gift_help =
    {Surname2} the {kind3}, who was {idle}, [winked|laughed|had an idea]. So {hero} {craft.mend}.
    | "Nothing is lost," {said} {elder} {gently}, with {dish}. And {hero} {craft.mend}.
gift_give =
    The guests brought {dish2}, {flower} and a {paint} {toy2}. "{Craft.praise}!" {cried} {friend} {loudly}.
    | {Friend} untied {some} {paint} [ribbons|strings|knots]. "{Craft.praise}!" {friend.he} {cried}
        {loudly}.
handiwork (name / harm / mend / praise) as craft =
    a cake with {some} candles / the cake sank in the middle / filled the hole with {jam} cream / a cake
        with a lake
    | {paint} mittens / the wool ran out at the thumbs / knitted {paint} thumbs / thumbs like {some} {jam}
        buns
    | a birdhouse of {tree} wood / {some} cracks appeared / covered it with {herb} / room for {some} birds
    | a song with {some} verses / {some} verses would not rhyme / left them out / I shall sing it on
        {weekday3}s
    | a painting of {village} / rain ran down it / turned {some} drops into {beast}s / just like {village}
        in {month2}
    | a necklace of {some} shells / the thread broke / threaded {some} {paint} buttons instead / no queen
        has a better one
    | a book of {some} riddles / the ink ran out / wrote on in {jam} juice / it even smells of {jam}
    | a lantern with paper {beast}s / it caught fire / cut {some} stars from the holes / {some} stars on my
        wall
    | a {paint} cushion / it had {some} corners / sewed bells on the corners / I can hear my dreams
    | a {paint} raft / it floated upside down / called it a table and set it for {some} / a table for
        {dish3}

# Plot 10: somebody small is stuck.

a_rescue = {cry} {rescue_try} ¶ {rescue_friend} {rescue_tool} ¶ {rescue_out} {rescue_end}
cry =
    {When}, on the road to {village2}, {hero} [found|saw|met] {small}, [stuck|caught|trapped] {trap}.
        "{Help}"
    | "{Help}" [cried|called|wailed|sobbed] somebody {when}, on the road to {village2}. It was {small},
        [stuck|caught|trapped] {trap}.
help = help! | please help! | I am stuck! | mother! | is anybody there? | save me! | what shall I do?
small = a {mood} {small_one} called {baby}
small_one = duckling | gosling | lambkin | hatchling | leveret | tadpole | cygnet | foal | calf | chick |
    fawn | kid
rescue_try =
    {Hero} {trap.try}. "{Oh}," {said} {hero} {gently}. It was no [use|good].
    | "[Do not|Never] [worry|fear]," {said} {hero} {gently}, and {trap.try}, in vain.
rescue_friend =
    {Friend} the {kind2} came by with {trifle} and {trifle2}. "We need {trap.tool}," {friend.he} {said}
        {gently}.
    | {Friend} the {kind2} was {idle} [nearby|round the corner]. "Quick," {said} {hero} {gently}, "we need
        {trap.tool}!"
rescue_tool =
    {Elder} the {job}, who was {idle}, lent them one [at once|with a nod|and came along|for {dish}].
    | "Bring it back by {weekday2}," {said} {elder} the {job} {gently}.
rescue_out =
    They counted to {some} and {trap.out}.
    | {Friend} told {baby} about {monster} {menace}, and they {trap.out}.
rescue_end =
    "Thank you," {said} {baby} {gently}, and gave them {trifle3}.
    | {Baby}'s mother gave them {dish2} and {dish3}.
    | {Some} years later {hero} was stuck {trap}, and who came? {Baby}, with {dish2}.
predicament (where / try / tool / out) as trap =
    in the top of a {tree} / shook it until {some} twigs fell / a {paint} blanket / held the blanket for the
        jump
    | in the mud of a pond / lost {some} {paint} buttons / a plank {some} feet long / walked out on the
        plank
    | between two bars of a gate / pulled {some} times / a pot of {paint} soap / soaped {some} bars
    | at the bottom of a well / let down the {garment} / a {paint} bucket / wound up the bucket
    | in a bramble bush / got {some} scratches / a pair of {paint} gloves / bent {some} thorns aside
    | on an island in the river / waded in up to {hero.his} {kind.nose} / a {paint} washtub / paddled over
        with {some} spoons
    | in a milk churn / tipped it {some} times / a hose {some} feet long / filled the churn until {baby}
        floated up
    | on the roof of the {house} / piled up {some} crates / a ladder with {some} rungs / climbed up
    | in a fishing net / made {some} new knots / a {paint} knife / cut {some} knots
    | under a fallen {tree} / pushed {some} times / a pole {some} feet long / lifted the {tree}

# The people, places and things that are cast.

creature (name / a / went / nose) as kind, kind2, kind3 =
    hedgehog / a hedgehog / trotted / snout | rabbit / a rabbit / hopped / ears | mouse / a mouse / scurried
        / whiskers | badger / a badger / plodded / snout | otter / an otter / ambled / whiskers | squirrel /
        a squirrel / scampered / nose | fox / a fox / strolled / nose | mole / a mole / shuffled / nose |
        frog / a frog / leaped / forehead | goose / a goose / marched / beak | owl / an owl / fluttered /
        beak | bear / a bear / lumbered / nose | beaver / a beaver / shuffled / teeth | lamb / a lamb /
        skipped / nose | kitten / a kitten / padded / whiskers | tortoise / a tortoise / crawled / chin |
        hamster / a hamster / trundled / cheeks | sparrow / a sparrow / flew / beak | puppy / a puppy /
        bounded / nose | piglet / a piglet / galloped / snout | goat / a goat / clambered / beard | duck / a
        duck / waddled / beak | donkey / a donkey / trotted / ears | raccoon / a raccoon / crept / nose |
        weasel / a weasel / darted / whiskers | pigeon / a pigeon / flew / beak

spot (at / near / far / deep) as place =
    in the orchard / {near} the [apple|pear|plum|cherry] trees / among the [baskets|ladders|windfalls] / in
        [a beehive|the nettles]
    | in the meadow / {near} the [gate|haystack|scarecrow] / among the [poppies|daisies|thistles] / in the
        [ditch|clover]
    | at the mill / {near} the [wheel|willow|jetty] / among the [rushes|reeds|lilies] / in a [boat|fish
        trap|sack]
    | at the market / {near} the [fish|cheese|flower] stall / among the [crates|pumpkins|pots] / in the
        [fountain|scales]
    | at the harbour / {near} the [nets|barrels|cranes] / among the [ropes|sails|anchors] / in a
        [dinghy|lobster pot]
    | in the quarry / {near} the [rails|cart|winch] / among the [boulders|ferns|pebbles] / in the
        [lake|deepest crack]
    | in the beech wood / {near} the [oldest|tallest] beech / among the [roots|leaves|ferns] / in a [fox's
        den|hollow trunk]
    | at the station / {near} the [bench|timetable|clock] / among the [trunks|rails|suitcases] / in a
        [hatbox|mailbag]
    | in the kitchen garden / {near} the [leeks|carrots|pump] / among the [beans|cabbages] / in a
        [flowerpot|marrow]
    | in the hayloft / {near} the [ladder|rafters|rake] / among the [bales|sacks] / in the [manger|owl's
        nest]
    | on the beach / {near} the [pier|boathouse|groyne] / among the [shells|dunes|driftwood] / in a [rock
        pool|shark's jaw]
    | on the heath / {near} the [birch|standing stone|juniper] / among the [heather|gorse|broom] / in [a
        den|the bog]
    | in the ruined castle / {near} the [drawbridge|throne|gate] / among the [ivy|stones|arrows] / in the
        [dungeon|tower]
    | in the park / {near} the [bandstand|statue|swings] / among the [roses|benches|prams] / in the
        [hedge|litter bin]
    | on the windy hill / {near} the [signpost|windmill|fir] / among the [sheep|molehills] / in a [rabbit
        hole|cairn]
    | in the museum / {near} the [mammoth|mummy|globe] / among the [maps|vases|swords] / in a
        [coffin|cannon]
near = [under|behind|beside|near|below]
trade as job = baker | beekeeper | blacksmith | bookbinder | carpenter | clockmaker | cobbler | glassblower |
    florist | librarian | lighthouse keeper | miller | potter | schoolteacher | shepherd | tailor |
    toymaker | weaver | candlemaker | gardener | barber | fiddler | chimney sweep | plumber | balloonist |
    ropemaker | saddler | tinker | umbrella mender | watchman | magician | sailmaker | piano tuner |
    pastry cook | fisher | night nurse | judge | mayor
grown_up as elder = Mrs {surname} | Miss {surname} | Aunt {surname} | Granny {surname} | Madam {surname} |
    Lady {surname} | Mr {surname} | Uncle {surname} | Grandpa {surname} | Captain {surname} |
    Professor {surname} | Sir {surname}
family as surname, surname2 =
    Pepper | Thistle | Barley | Plum | Moss | Reed | Linnet | Figg | Crumb | Thimble | Nettle | Oakley |
        Puddle | Quill | Rusk | Sorrel | Teasel | Truffle | Wick | Whistle | Yarrow | Applegate | Bumble |
        Candle | Fiddle | Gooseberry | Hobnail | Kettle | Larkin | Marrow | Nutmeg | Pickle | Parsnip |
        Rumble | Sedge | Tuppence | Woolley | Cobble | Button | Dimple | Everley | Flint | Grumbold |
        Hopkins | Inkpen | Jolly | Knapweed | Lovage | Mugwort | Noddle | Oatcake | Pumphrey | Quince |
        Rhubarb | Sprocket | Tumble | Underwood | Vetch | Winkle | Yardley
village = {town_head}{town_tail}
village2 = {town_head2}{town_tail2}
head_of_town as town_head, town_head2 = Thimble | Acorn | Puddle | Nut | Moss | Crumb | Windle | Apple |
    Otter | Butter | Honey | Clover | Mumble | Fern | Tickle | Lark | Pebble | Rush | Snug | Twig | Yarn |
    Bird | Goose | Bramble | Cobble | Elder | Giggle | Barley
tail_of_town as town_tail, town_tail2 = bury | ford | ley | wick | brook | down | field | combe | dale |
    hollow | mouth | worth | bridge | wood | port | minster
word_of_temper as temper, temper2 = cheerful | curious | brave | dreamy | gentle | lively | merry | patient |
    quiet | quick | sleepy | stubborn | thoughtful | young | tidy | clumsy | bold | polite | hungry |
    cautious | small | plump | restless | forgetful | famous | jolly | modest | nimble | proud | shaggy |
    witty | freckled | daring | stout | whimsical | homesick | careful | good-natured
paint as colour, colour3 = red | blue | green | yellow | purple | scarlet | crimson | turquoise | pink |
    brown | grey | white | black | silver | violet | lilac | checked | spotted | striped | golden | flowery |
    cream | maroon | khaki | navy blue | copper | lemon yellow | pale pink | zigzag | tartan | cherry red
fabric as cloth, cloth2 = woollen | velvet | linen | corduroy | knitted | felt | cotton | patched | quilted |
    tweed | flannel | silk | satin | fleecy | lace | canvas
clothing (name / all) as garment, garment2 =
    scarf / scarves | hat / hats | waistcoat / waistcoats | bonnet / bonnets | jacket / jackets | cape /
        capes | pullover / pullovers | beret / berets | neckerchief / neckerchiefs | shawl / shawls |
        raincoat / raincoats | pinafore / pinafores | turban / turbans | coat / coats | kilt / kilts |
        nightshirt / nightshirts | poncho / ponchos
hobby = {hobby_verb} {hobby_thing}
doing as hobby_verb = painting | drawing | collecting | counting | sorting | polishing | hiding | swapping |
    juggling | stacking | naming | weighing | mending | admiring | inventing | dusting
treasures as hobby_thing = pebbles | buttons | acorns | shells | feathers | spoons | chestnuts | marbles |
    keys | hats | corks | bottles | stamps | leaves | maps | bells | pine cones | teapots | boots | turnips |
    coins | cushions | clocks | pumpkins | kites | lanterns | whistles | puppets | postcards | horseshoes |
    goldfish | candles
dish = {taste} {food}
dish2 = {taste2} {food2}
dish3 = {taste3} {food3}
dish4 = {taste4} {food4}
dish5 = {taste5} {food5}
dish6 = {taste6} {food6}
flavour as taste, taste2, taste3, taste4, taste5, taste6 = warm | cold | sweet | fresh | spicy | homemade |
    leftover | buttered | burnt | salty | creamy | smoked | peppered | tiny | sticky | crunchy | sugared |
    mouldy | bitter | green | fluffy | lukewarm
meal as food, food2, food3, food4, food5, food6, course, course2 = pancakes | gingerbread | plum cake |
    apple pie | onion soup | buns | hazelnuts | carrot cake | pea soup | rice pudding | biscuits | rolls |
    potatoes | strawberries | dumplings | waffles | tarts | porridge | sweetcorn | bread | custard | toast |
    noodles | muffins | radishes | cheese | jam | crumpets | scones | mushrooms | omelettes | marzipan |
    gherkins | popcorn | trifle
trifle = a {look} {oddment}
trifle2 = a {look2} {oddment2}
trifle3 = a {look3} {oddment3}
trifle4 = a {look4} {oddment4}
trifle5 = a {look5} {oddment5}
worn as look, look2, look3, look4, look5 = tiny | lost | lucky | dusty | sticky | muddy | forgotten | lonely |
    mossy | golden | soggy | battered | painted | crooked | wobbly | huge | shiny | faded | rusty |
    mysterious | haunted | bent | priceless | silver | worm-eaten
junk as oddment, oddment2, oddment3, oddment4, oddment5 = key | spoon | boot | bottle | comb | button |
    fishhook | doorknob | teacup | ribbon | thimble | nail | mousetrap | pine cone | cork | bucket |
    saucepan | horseshoe | glove | coin | feather | shell | candlestick | pencil | buckle | wheel | hinge |
    sock | walnut | rolling pin | lampshade | chess piece | sieve | trombone | ladle | harmonica
blossom as flower, flower2 = daisies | tulips | roses | violets | poppies | lilies | primroses | bluebells |
    cornflowers | marigolds | peonies | snowdrops | asters | hollyhocks | dahlias | foxgloves | lupins |
    buttercups
few = two | three | four | five | six | seven | eight | nine
some = two | three | four | five | six | seven | eight | nine | ten | eleven | twelve | thirteen | fifteen |
    twenty | thirty | forty | fifty | a dozen | a hundred
hour = [half past|quarter past|ten past|twenty to]
    [one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve]
until_late = {hour} | midnight | the [owls|cocks|stars] [called|slept|yawned]
day as weekday, weekday2, weekday3 = Monday | Tuesday | Wednesday | Thursday | Friday | Saturday | Sunday
month_of_year as month, month2, month3 = January | February | March | April | May | June | July | August |
    September | October | November | December
ordinal = first | second | third | fourth | fifth | sixth | seventh | eighth | ninth | tenth | eleventh |
    twelfth | thirteenth | fourteenth | fifteenth | sixteenth | seventeenth | eighteenth | nineteenth |
    twentieth | last
weather = rainy | windy | foggy | sunny | frosty | stormy | cloudy | golden | misty | mild | chilly | bright |
    dull | grey | breezy | dewy
when = one {weather} [morning|afternoon|evening|day] | on the {ordinal} of {month} |
    at {hour} on a {weather} {weekday} | [early|late] one {weather} {weekday}
sport as game = hopscotch | leapfrog | marbles | tag | hide and seek | blind man's buff | skittles | pirates |
    catch | tug of war | football | knights and dragons | musical chairs | ludo | badminton | cowboys
timber as tree = beech | lime | willow | walnut | chestnut | maple | cherry | poplar | birch | larch | pine |
    cedar | spruce | plane
building as house = windmill | chapel | bakery | school | inn | post office | watermill | library | smithy |
    town hall | theatre | station
side_word as side = behind | beside | near | next to | opposite | close to
mark as landmark = old oak | bridge | pump | clock tower | stile | haystack | statue | wishing well | gate |
    signpost | bandstand | boathouse | standing stone | milestone | lamp post | chestnut tree | weathervane |
    greenhouse | henhouse | wall | sundial
beast = ladybird | snail | beetle | caterpillar | grasshopper | spider | moth | bumblebee | toad | lizard |
    newt | glow-worm | cricket | earthworm | centipede | slug | weevil | hornet | sea horse
a_beast = a {mood} {beast}
mood = fat | sleepy | tiny | surprised | cross | proud | shy | hungry | polite | nervous | cheerful |
    freckled | lost | whistling | pale | sneezing | solemn | very old | yawning | handsome | bashful |
    dancing | grumpy | royal | well-fed
vegetables = carrots | onions | pears | turnips | apples | plums | chestnuts | radishes | beetroots | lemons |
    quinces | parsnips | leeks
herbs as herb, herb2 = thyme | mint | sage | fennel | camomile | lavender | elderflower | nettle |
    lemon balm | rosemary | parsley | tarragon
berry as jam = cherry | strawberry | raspberry | cranberry | redcurrant | rose hip | blackberry | gooseberry
pet_name as baby = Pip | Tuft | Dumpling | Bean | Crumpet | Noodle | Bobbin | Pebble | Tiddler | Sprout |
    Muffin | Dot | Fidget | Squeak | Wisp

# How things are said.

idle = [peeling|washing|slicing|sorting|counting] {vegetables} | [mending|folding|ironing|hanging up]
    [nets|socks|sheets|sails|curtains|mittens|kites] | feeding {some} [ducks|hens|sparrows|geese] |
    eating {dish4} | sweeping [steps|leaves|chimneys|crumbs] |
    [reading|writing|binding] a book about {beast}s | polishing {trifle4} | picking {paint} {flower2}
gently = gently | kindly | firmly | gravely | proudly | warmly | thoughtfully | mildly | briskly | dreamily |
    drily | wisely | stoutly | sweetly | cheerfully | solemnly | politely | sleepily | eagerly | merrily |
    calmly | simply | modestly | mysteriously | generously | over a cup of {herb} |
    with a [smile|nod|wink|yawn|bow|cough|twinkle|grin|hiccup]
sadly = sadly | miserably | faintly | bitterly | gloomily | tearfully | weakly | mournfully | wearily |
    into {trifle4} | with a [sniff|hiccup|gulp|shiver|cough] | for the {ordinal} time
shyly = shyly | faintly | bravely | hastily | hoarsely | breathlessly | timidly | nervously | eagerly |
    at last | after a while | with [big eyes|a gulp|a blush|a shiver|a sniff|red ears|a stammer]
loudly = at once | in surprise | three times | happily | breathlessly | from the heart | and
    [jumped|blinked|clapped|laughed|stared|whistled|hopped|wept|danced|hiccuped]
oh = oh dear | oh no | goodness [me|gracious] | bless my [buttons|boots|soul] | dear me | my [stars|word] |
    heavens | crumbs | well I never | fiddlesticks | thunder and lightning | {course2} and {vegetables} |
    a thousand {vegetables}
said = 3: said | remarked | declared | murmured | announced
asked = asked | wondered | inquired
cried = cried | called | exclaimed | gasped | shouted
whispered = whispered | mumbled | breathed | stammered | croaked | piped
sighed = sighed | groaned | sobbed | wailed | moaned | sniffed
"""

GRAMMAR = Grammar(f"{NOTATION}child (name / he / him / his) as hero, friend = {CHILDREN}\n")
