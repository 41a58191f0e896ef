"""The grammar of the Spanish stories; its notation is explained in `grammar.py`."""

from tfcli.text.stories.grammar import Grammar

GIRLS = """Lucía Carmen Julia Aitana Elena Marta Berta Paula Clara Alba Nuria Olga Rocío Sara Teresa Violeta Zoe Abril
    Blanca Candela Daniela Emilia Fátima Gloria Jimena Leonor Manuela Noelia Pilar Rosario Soledad Valeria
    Ximena Lola Beatriz Amparo Aurora Begoña Celia Dafne Esther Filomena Gracia Lidia
    Mercedes Natalia Olivia Raquel"""
BOYS = """Mateo Hugo Pablo Diego Javier Nicolás Andrés Bruno Carlos Damián Ernesto Fermín Gonzalo Héctor Salvador
    Jacinto Lorenzo Marcos Néstor Óscar Pedro Quique Rodrigo Simón Tomás Ulises Vicente Álvaro Benito Curro
    Elías Gabriel Joaquín Leandro Martín Rafael Alonso Baltasar Cristóbal Emilio Federico
    Gaspar Jorge Miguel Octavio Ramón Samuel Víctor"""
CHILDREN = " | ".join(
    [f"{girl} / a / la" for girl in GIRLS.split()] + [f"{boy} / o / lo" for boy in BOYS.split()]
)

NOTATION = """
# A story presents its hero, lets one of ten plots happen, and comes back to where it began.

story = {start} ¶ {plot} ¶ {coda}
plot = {a_loss} | {an_illness} | {a_gale} | {a_newcomer} | {a_contest} | {an_accident} | {a_sleepless_night} |
    {a_secret} | {a_rescue} | {a_letter}

start =
    {Once} vivía en {village} {hero}, {kin}{hero.o} {trade_of}, con su {pet.full} {pet_name}. {habit}
    | En {village}, {home}, vivía {hero}, {kin}{hero.o} {trade_of}, con su {pet.full} {pet_name}. {habit}
    | {Hero}, {kin}{hero.o} {trade_of}, vivía {home}, en {village}, con su {pet.full} {pet_name}. {habit}
    | ¿Quién no [conoce|ha visto|saluda|admira] en {village} a {hero}, tan {temper}, y a su {pet.full} {pet_name}? {habit}
once = érase que se era | hace [mucho|poco|algún] tiempo | hace {some} [inviernos|veranos|cosechas|lunas] |
    cuando [la luna|el mar|el viento|el bosque] era más joven
kin = hij | niet | sobrin | ahijad | prim | herman | vecin
trade_of = del {trade.el} | de la {trade.ella}
home = en [una casa|una cueva|un molino|una cabaña|una buhardilla|una barca|un carro|un palomar] {by_house}
by_house = junto {house.al} | frente {house.al} | detrás {house.del} | cerca {house.del} | al lado {house.del}
village = {town_head} {town_tail}
village2 = {town_head2} {town_tail2}
habit =
    [Siempre|A todas horas|Hasta en la cama] llevaba {garment} y [adoraba|soñaba con|no se cansaba de] {hobby}.
    | No salía sin {garment} ni [pasaba un día|se acostaba|desayunaba|respiraba] sin {hobby}.
    | Tenía dos [tesoros|caprichos|secretos|manías|alegrías|virtudes]: {garment} y {hobby}.
    | Vestía {garment} y [pasaba los días|mataba el tiempo|era feliz|se dormía] {hobbying}.

coda =
    Luego {hero} volvió a {hobby}, con {food5} y {a_beast}.
    | Aquella noche {hero} soñó con {some} {beasts} que [sabían|querían|debían|no podían] {hobby}.
    | Y {friend} se [compró|cosió|tejió|encontró|pidió|hizo] {garment2.new} para {hobby} los {day.los}.
    | {Elder} [bordó|pintó|cosió|dibujó] {a_beast} en {garment.la}, con {some} hilos {tint.os}.
    | Ahora {hero} y {friend} [quedan|se juntan] los {day.los} para {hobby}, con {food5} y {food6}.
    | Y así, colorín colorado, {hero} volvió a {hobby}, y cenó {food5} con {food6}.

# Plot 1: something is lost.

a_loss = {lost} {lost_search} ¶ {lost_talk} ¶ {lost_found}
lost =
    {When}, {place}, {hero} perdió su {toy}, [regalo|recuerdo|herencia|premio|capricho] {elder.del}, {elder.job}.
    | —¿Y mi {toy}? —[gritó|sollozó|preguntó|chilló] {hero} {when}, {place}. ¶ Era [regalo|recuerdo|herencia] {elder.del}, {elder.job}.
lost_search =
    [Buscó|Miró|Rebuscó|Tanteó] {place.near}, {place.far} y {place.deep}, pero solo [encontró|halló|vio] {thing} y {thing2}.
    | {Place.near} había {thing}; {place.far}, {thing2}; {place.deep}, {a_beast}.
    | ¿{Place.near}? Solo {thing}. ¿{Place.far}? Solo {thing2}. ¿{Place.deep}? {A_beast}.
lost_talk =
    —¡{Oh}! —{cried} {friend}, que estaba {idle}—. ¿Dónde [paraste|descansaste|te sentaste]? ¶ —{Paused} {spot} —{said}
        {hero} {gently}.
    | —Piensa [bien|un poco|otra vez|despacio] —{said} {friend}, que estaba {idle}. ¶ —¡{Paused} {spot}! —[recordó|respondió|exclamó]
        {hero} {loudly}.
paused = di de comer a los [patos|gorriones|gatos] | comí {food} | me eché una siesta | me até [un zapato|una alpargata] | cogí
    {flower} | jugué {game} | hablé con los {family} | conté [nubes|golondrinas|cigüeñas]
lost_found =
    {Pet_name} {pet.cry} {some} veces. {Spot}, entre {a_beast} y {thing3}, [estaba|brillaba|esperaba|dormía] {toy.la}. {Hero} {toy.joy}.
    | [Allá fueron|Allí volvieron|Corrieron]. {Spot}, {a_beast} [jugaba|bailaba|dormía|luchaba] con {thing3} y {toy.la}. {Hero} {toy.joy}.
plaything (full / la / una / joy) as toy =
    cometa {tint.a} / la cometa / una cometa / la hizo volar sobre {some} tejados
    | trompo {tint.o} / el trompo / un trompo / lo hizo girar {some} veces
    | flauta {tint.a} / la flauta / una flauta / tocó para {some} mirlos
    | tambor {tint.o} / el tambor / un tambor / tocó para {some} {beasts}
    | farolillo {tint.o} / el farolillo / un farolillo / lo encendió para {some} polillas
    | brújula {tint.a} / la brújula / una brújula / encontró el camino hacia {food4}
    | pelota {tint.a} / la pelota / una pelota / la hizo botar {some} veces
    | marioneta {tint.a} / la marioneta / una marioneta / le hizo hacer {some} reverencias
    | barquito {tint.o} / el barquito / un barquito / lo botó con {some} {beasts} a bordo
    | pandereta {tint.a} / la pandereta / una pandereta / tocó {some} jotas
    | silbato {tint.o} / el silbato / un silbato / llamó a {some} gansos
    | catalejo {tint.o} / el catalejo / un catalejo / vio {some} cráteres en la luna
    | muñeca {tint.a} / la muñeca / una muñeca / le dio {some} besos
    | paraguas {tint.o} / el paraguas / un paraguas / lo abrió {some} veces
    | armónica {tint.a} / la armónica / una armónica / tocó {some} valses
    | canica {tint.a} / la canica / una canica / se la enseñó a {some} {beasts}
    | aro {tint.o} / el aro / un aro / lo hizo rodar por {some} calles
    | linterna {tint.a} / la linterna / una linterna / hizo sombras de {some} {beasts}

# Plot 2: a friend is ill and will miss the feast.

an_illness = {ill} ¶ {ill_wish} ¶ {ill_help} ¶ {ill_cure} ¶ {ill_fair} {ill_end}
ill =
    {When}, {hero} fue a [buscar|recoger|llamar] a {friend} para {fair}. Pero {friend} tenía {ailment}, y parecía {pale}.
    | {When} era {fair}. Y {friend}, {kin}{friend.o} {trade_of}, tenía {ailment} y parecía {pale}.
    | {When}, {friend} tenía {ailment} y parecía {pale}. ¡Justo para {fair}! {Hero} le llevó {food}.
pale = un nabo {worn.o} | una vela {worn.a} | un queso {worn.o} | una sábana {worn.a} | un fantasma {worn.o} | una cebolla {worn.a} |
    un calcetín {worn.o} | una patata {worn.a} | un champiñón {worn.o} | una acelga {worn.a}
ill_wish =
    —[Me pierdo|Me perderé|Cuéntame|Tráeme|Adiós a] {fair.best} —{sighed} {friend} {sadly}.
ill_help =
    {Hero} [corrió|voló|trotó|galopó] en busca {elder.del}, {elder.job}, que estaba {idle}.
    | {Hero} y {pet_name} [llamaron|avisaron|despertaron|trajeron] {elder.al}, {elder.job}, que estaba {idle}.
ill_cure =
    —{Some} cucharadas de {ailment.cure} —{said} {gently}—, y nada de {course.bare}.
    | —{Some} tazas de {ailment.cure} —{said} {gently}—, y {some} [chistes|cuentos|canciones|abrazos].
    | {Elder} [removió|calentó|coló] {some} tazas de {ailment.cure} con {thing} y [cantó|silbó|tarareó] {gently}.
ill_fair = [Mientras|Luego|A las {hour}|El {weekday2}], {hero} {fair.bring}.
ill_end =
    {Friend} se rio tanto que {ailment.gone}, y [pidió|cenó|devoró] {food2}.
    | [Pronto|Al día siguiente|El {weekday3}] {ailment.gone}, y {friend} [pidió|cenó|devoró] {food2}.
    | ¶ —¡{Oh}! —{cried} {friend} {loudly}, y {ailment.gone}.
festivity (name / best / bring) as fair =
    la verbena / los farolillos {tint.os} / colgó {some} farolillos {tint.os} en la ventana
    | la romería / las carretas {tint.as} / llenó una carretilla de {flower} y la paseó {some} veces
    | la cabalgata / los camellos / disfrazó de camello a {pet_name}, con {some} cojines {tint.os}
    | la feria / la noria {tint.a} / hizo una noria con {some} tazas {tint.as}
    | la hoguera de San Juan / las chispas / encendió {some} velas {tint.as} en la ventana
    | el desfile de gigantes / los cabezudos / desfiló con una calabaza en la cabeza y {some} {beasts} detrás
    | el teatro de títeres / [el lobo|la bruja|el diablo] / hizo {some} títeres con calcetines {tint.os}
    | la vendimia / las uvas / pisó {some} {vegetable} en un barreño {tint.o}
    | el baile de los {family} / [los acordeones|los pasodobles|los valses] / bailó alrededor de la cama con {thing2}
    | el circo / [los payasos|los malabaristas|los trapecistas] / hizo malabares con {some} {vegetable} y {thing2}
    | la carrera de burros / [los rebuznos|las apuestas] / trotó {some} veces alrededor de la cama
illness (name / cure / gone) as ailment =
    un resfriado / infusión de {herb} con {herb2} / dejó de estornudar | tos / jarabe de {herb} con {herb2} / se le pasó la tos |
    fiebre / infusión de {herb} con zumo de {fruit} / le bajó la fiebre | anginas / zumo de {fruit} con {herb} / recuperó la voz |
    dolor de muelas / clavo con {herb} / se le cayó la muela | dolor de barriga / infusión de {herb} con {herb2} / se le fue el
    dolor | dolor de oídos / aceite tibio de {herb} / volvió a oír los grillos | hipo / zumo de {fruit} con {herb} / se le fue el
    hipo | varicela / leche con {herb} / se le fueron los granos | un tobillo torcido / ungüento de {herb} / echó a andar

# Plot 3: a gale breaks something that everybody needs.

a_gale = {gale} ¶ {gale_need} ¶ {gale_call} ¶ {gale_work} {gale_end}
gale =
    {When}, un vendaval [bajó de la sierra|subió del mar|cruzó el llano|salió del bosque] {howling} como {some} {bulls} {tint.os} y
        {harm}.
    | {When}, el viento sopló {howling} como {some} {bulls} {tint.os}. {Harm}, y {hero} [encontró|halló] {thing} en [la cama|la
        sopa|el jardín|el zapato].
howling = [rugiendo|aullando|silbando|bufando|gruñendo]
bulls = [lobos|trenes|toros|gigantes|leones|tambores|elefantes|dragones|camiones|tigres|búfalos]
gale_need =
    —{Harm.so}. Y yo solo tengo {thing2} y {food} —{sighed} {friend} {sadly}.
    | —¡{Oh}! —{sighed} {friend} {sadly}—. {Harm.so}, y yo solo tengo {thing2}.
gale_call =
    {Hero} ató {garment.la} a un palo y llamó {elder.al}, {elder.job}, a los {family} y a {some} {beasts}.
    | {Hero} y {pet_name} [pidieron|buscaron] ayuda. {Elder}, {elder.job}, trajo {some} [clavos|cuerdas|escaleras|serruchos|martillos],
        y los {family}, {food2}.
    | {Hero} y {pet_name} [pidieron|buscaron] ayuda. Vinieron {elder}, {elder.job}, y los {family}, con {a_beast} y {food2}.
gale_work =
    [Trabajaron|Sudaron|Cantaron] {some} [días|horas|tardes], comieron {food3} y {food4}, y {harm.done}.
    | {Elder} contó {some} [chistes|cuentos|refranes] {gently}, {friend} contó hasta {some}, y todos {harm.done}.
    | Con {some} [jarras|cántaros|termos] de infusión de {herb} y {some} [canciones|ampollas|tiritas], {harm.done}.
gale_end =
    {Harm.proof}, y {everyone} [aplaudió|bailó|silbó|cantó].
    | {Harm.proof}. ¶ —El viento —{said} {elder} {gently}— no tiene [amigos|vecinos|{course.bare}].
    | {Harm.proof}. El siguiente vendaval [huyó|se dio la vuelta|pasó de largo] ante {some} banderas {tint.as}.
everyone = todo el mundo | la plaza entera | todo {village} | hasta {a_beast}
damage (what / so / done / proof) as harm =
    arrancó el tejado de la escuela / llueve en los [pupitres|cuadernos|tinteros] / clavaron {some} tablas de {tree} / no entró ni una
        gota
    | rompió el puente / no hay harina para {course.bare} / tendieron {some} troncos de {tree} / pasaron {some} sacos de harina
    | apagó el faro / {some} barcas no encuentran el puerto / encendieron {some} faroles {tint.os} / volvieron todas las barcas
    | se llevó las aspas del molino / no hay harina para {course.bare} / cosieron {some} sábanas {tint.as} / el molino volvió a girar
    | llenó el pozo de barro / solo hay zumo de {fruit} para beber / sacaron {some} cubos de barro / el agua salió clara
    | tiró el nido de las cigüeñas / {some} cigüeñas no tienen casa / tejieron otro con {some} [cañas|mimbres|sarmientos] / las cigüeñas
        crotoraron
    | tumbó las tomateras / no habrá gazpacho en {month2} / ataron las tomateras a {some} cañas {tint.as} / los tomates maduraron
    | tiró un {tree} en el camino / el lechero no puede pasar / hicieron con él {some} taburetes {tint.os} / pasó el lechero
    | se llevó la campana / nadie sabe qué hora es / colgaron {some} [cazuelas|botellas|cucharas] en la torre / se oyeron hasta en
        {village2}
    | inundó el horno / no hay {course.bare} / sacaron {some} cubos de agua / el horno volvió a humear
    | volcó las colmenas / hay {some} abejas enfadadas / hicieron {some} colmenas {tint.as} / las abejas zumbaron

# Plot 4: a shy newcomer shows what he or she can do.

a_newcomer = {arrival} {shyness} ¶ {new_tip} ¶ {new_trouble} ¶ {new_speaks} {new_end}
arrival =
    {When} llegó de {village2} en [carro|barca|autobús|tren|globo|mula|trineo|bicicleta] {friend}, {kin}{friend.o} {trade_of}.
    | {When}, {friend} se mudó de {village2} a una casa {spot}.
shyness =
    Solo hablaba con {a_beast} y se ponía [roj|colorad]{friend.o} como {red_thing}.
    | Se escondía detrás de {thing} y decía {some} palabras [al día|por semana|al mes].
    | Miraba [al suelo|a las nubes|al cielo|a los tejados] y [tarareaba|murmuraba|suspiraba] {sadly}.
red_thing = un tomate | una cereza | un pimiento | una fresa | una amapola | un rábano | una granada | un clavel | una sandía | un cangrejo
new_tip =
    {Hero} le ofreció {food}, pero {friend} huyó. ¶ —{Patience} —{said} {elder}, {elder.job}, {gently}. ¶ Y {hero} esperó a {some} pasos,
        con {food3}.
    | —{Patience} —{said} {elder}, {elder.job}, que estaba {idle}. ¶ {Hero} dejó {food3} en [la puerta|la ventana|el balcón|la reja] de
        {friend}, y recibió {thing2}.
patience = paciencia | poco a poco | no hay prisa | despacito y buena letra | hay puertas que se abren despacio | dale tiempo | cada
    flor tiene su hora
new_trouble =
    El {weekday2}, {talent.trouble}. Los {family} [lo intentaron|daban vueltas|lloraban|rezaban|gritaban], en vano.
    | El {weekday2}, {talent.trouble}. ¡{Oh}!
new_speaks =
    —Yo sé {talent} —{whispered} {friend} {shyly}, y {talent.deed}.
    | —Pues yo —{whispered} {friend} tras {thing3}— sé {talent}. ¶ Y {talent.deed}.
new_end =
    {Everyone} [aplaudió|bailó|silbó|cantó].
    | ¶ —¿Por qué no lo dijiste? —{asked} {elder}. ¶ —Nadie me preguntó.
    | Ahora {friend} habla tanto que {elder} [lleva|se pone] {some} gorros {tint.os}.
skill (name / trouble / deed) as talent =
    trepar / la llave de [la escuela|la iglesia|la panadería] cayó al pozo / subió con la llave y con {a_beast}
    | silbar / {some} barcas se perdieron en la niebla / silbó hasta que asomaron {some} velas
    | ver en la oscuridad / {some} [corderos|patitos|cabritos] se perdieron en el monte / los encontró junto a {thing4}
    | nadar / {some} cestas de {course.bare} cayeron al río / salió con {course.the} y con {a_beast}
    | arreglar relojes / el reloj de la torre se paró a las {hour} / engrasó {some} ruedas con aceite de {herb}
    | contar cuentos / se fue la luz en los títeres / contó {some} cuentos de {beasts}
    | coser / se rasgó la carpa {tint.a} del circo / la cosió con {some} metros de hilo {tint.o}
    | hacer tartas / la tarta de la boda cayó sobre {a_beast} / hizo otra con {some} {flower} de azúcar
    | leer mapas / {some} niños se perdieron en la sierra / los encontró {some} leguas al [norte|sur|este|oeste]
    | tocar el acordeón / a la guitarra se le rompieron {some} cuerdas / tocó {some} [jotas|valses|pasodobles|polcas]
    | cavar / {some} rocas taparon [el horno|la escuela|la ermita] / abrió un túnel de {some} metros
    | hablar con las abejas / {some} abejas se posaron en el sombrero {elder.del} / las llevó hasta {flower.the}

# Plot 5: a contest in which a rival needs help.

a_contest = {notice} ¶ {contest_wish} ¶ {contest_rival} ¶ {contest_trouble} ¶ {contest_choice} ¶ {contest_end}
notice =
    {When} apareció {spot} un cartel {tint.o}: «¡{Contest}! Primer premio: {prize}».
    | «¡{Contest}! ¡De premio, {prize}!», decía {when} un cartel {tint.o} {spot}.
prize = [una cuchara|una campana|una corona|una tetera] de [oro|plata|cristal|chocolate] | {some} [cestas|barriles|sacos] de {course.bare} |
    un [queso|jamón|botijo|sombrero] [gigante|de oro|musical] | un viaje en [globo|barco|tren|camello]
contest_wish =
    {Hero} {contest.made} durante {some} [días|tardes|noches], y se olvidó de {hobby}.
    | {Hero} {contest.made} hasta {until_late}, entre {food} y {food2}.
    | —Eso es para mí —{said} {hero} {gently}, y {contest.made}.
contest_rival =
    —También {friend} quiere [ganar|el premio] —{said} {elder}, {elder.job}, que estaba {idle}.
    | —[Cuidado|Ojo|Mucho ojo] con {friend}, {kin}{friend.o} {trade_of} —{said} {elder}, {elder.job}, {gently}.
contest_trouble =
    El {weekday2} sonaron {some} [trompetas|campanas|cornetas|panderetas], los {family} agitaron {thing}, y {contest.mishap}.
    | [Llegó|Por fin llegó] el día, con {flower} y {food3} para todos, pero {contest.mishap}.
contest_choice =
    {Hero} contó hasta {some} y {contest.help}.
    | Nadie se movió, salvo {a_beast} y {hero}, que {contest.help}.
    | —¡{Oh}! —{sighed} {friend} {sadly}. ¶ Y {hero} {contest.help}.
contest_end =
    {Contest.result}, y {everyone} [aplaudió|bailó|silbó|cantó].
    | {Contest.result}, y el premio fue para los {family}, con {some} derrotas.
    | {Contest.result}, y se repartieron el premio con {a_beast}.
competition (name / made / mishap / help / result) as contest =
    concurso de cometas / pegó {some} cometas {tint.as} / a {friend} se le rompió el hilo / partió el suyo en dos / {some} {beasts} vieron
        bailar dos cometas
    | carrera de sacos / remendó {some} sacos {tint.os} / a {friend} se le rompió el saco / le hizo sitio en el suyo / llegaron en {some}
        saltos
    | concurso de tartas / batió {some} litros de crema de {fruit} / a {friend} se le apagó el horno / le hizo sitio en el suyo / salieron
        doradas dos tartas
    | concurso de sandías / regó una sandía con infusión de {herb} / la sandía de {friend} echó a rodar / soltó la suya para pararla / las
        dos sandías tenían {some} abolladuras
    | concurso de espantapájaros / rellenó {some} pantalones {tint.os} / {some} cuervos robaron la paja de {friend} / le dio la mitad de la
        suya / los dos espantapájaros acabaron del brazo
    | concurso de castillos de arena / levantó {some} torres / {some} olas se llevaron el muro de {friend} / cavó un foso para los dos
        castillos / los dos castillos vieron bajar la marea
    | concurso de canto / ensayó {some} canciones / {friend} se quedó sin voz / se puso a cantar por dos / aquello sonó como {some}
        ruiseñores
    | regata de barreños / pintó un barreño con {some} rayas {tint.as} / al barreño de {friend} le salieron {some} agujeros / le lanzó
        {garment.la} como cuerda / los dos barreños llegaron a las {hour}
    | concurso de paellas / peló {some} {vegetable} / a {friend} se le quemó el arroz / le llevó {herb}, {herb2} y una paella enorme / el
        arroz supo a {herb}
    | concurso de balcones / cantó {some} coplas {flower.al} / {some} caracoles se comieron las macetas de {friend} / repartió {flower.the}
        / dos balcones florecieron
    | concurso de farolillos / recortó {some} estrellas {tint.as} / el viento apagó el farolillo de {friend} / le prestó su llama / {some}
        polillas bailaron alrededor

# Plot 6: something breaks, and it is hard to say so.

an_accident = {broken} ¶ {broken_hide} ¶ {broken_friend} ¶ {broken_tell} ¶ {broken_mend}
broken =
    {When}, {hero} jugaba [a escondidas|sin permiso|con {a_beast}] {game} en [la cocina|el taller|el desván|la sala] {elder.del},
        {elder.job}. {Treasure.crash}.
    | —Aquí no se juega {game} —había dicho {elder}, {elder.job}. ¶ Pero {when} {hero} jugó [igual|de todos modos|con {a_beast}].
        {Treasure.crash}.
broken_hide =
    {Hero} lo [escondió|metió|barrió] todo detrás de {thing} y huyó. Ni {food} ni {food2} le supieron a nada.
    | —Ha sido {a_beast} —[ensayó|practicó|mintió] {hero} {gently}. ¶ Le [picaba|ardía|temblaba] [la nariz|la oreja|la lengua|la
        barbilla].
    | {Hero} huyó a casa, no probó {food} y no durmió hasta {until_late}.
broken_friend =
    —Pareces {pale} —{said} {friend}, que estaba {idle}—. [Anda, dilo|Ve y dilo]. Se tarda {some} segundos.
    | {Friend}, que estaba {idle}, lo escuchó todo. ¶ —[Voy contigo|Te doy la mano|Cuento hasta {some}] —{said} {gently}.
broken_tell =
    —He sido yo —{whispered} {hero} {shyly}.
    | {Hero} tragó saliva {some} veces. ¶ —He sido yo —{whispered}.
    | —He sido yo —{whispered} {hero}—. Te doy mi {toy}.
broken_mend =
    {Elder} [sonrió|carraspeó|parpadeó|suspiró] {some} veces, y {treasure.mend}. ¿El recuerdo? {Treasure.sign}.
    | —Yo rompí {some} —{said} {elder} {gently}, y {treasure.mend}. ¿El recuerdo? {Treasure.sign}.
    | {Elder} sirvió {food3}, y {treasure.mend}. ¿El recuerdo? {Treasure.sign}.
heirloom (crash / mend / sign) as treasure =
    ¡crac! El botijo {tint.o} se partió en {some} trozos / lo pegaron con resina de {herb} / {some} rayas, como los ríos de un mapa
    | ¡clin! La ventana quedó con {some} agujeros / pusieron cristales {tint.os} / una luz {tint.a} en el suelo
    | ¡pum! El reloj de cuco se paró a las {hour} / apretaron {some} tornillos / un cuco que canta {some} veces
    | ¡tlan! La guitarra perdió {some} cuerdas / le pusieron cuerdas {tint.as} / un arañazo con forma de {beast.bare}
    | ¡cras! El espejo se rompió en {some} pedazos / los juntaron en un marco {tint.o} / {some} lunas cada noche
    | ¡zas! La mecedora perdió una pata / tallaron otra de {tree} / una pata que huele a {tree}
    | ¡plaf! El jarrón con {flower} se cayó / rellenaron {some} grietas con oro / venas de oro y {some} abolladuras
    | ¡bum! El globo terráqueo rodó {some} escalones / pintaron {some} mares nuevos / una isla que se llama {hero}
    | ¡crec! Las gafas {tint.as} quedaron planas / doblaron {some} alambres / un cristal redondo y otro {tint.o}
    | ¡ras! La cortina {tint.a} se vino abajo / la cosieron con hilo {tint.o} / una costura con forma de {beast.bare}
    | ¡chof! La mermelada de {fruit} cayó sobre un libro / lavaron {some} páginas / páginas que huelen a {fruit} y a {herb}

# Plot 7: somebody cannot sleep because of a noise.

a_sleepless_night = {awake} {guess} ¶ {dare} ¶ {meet} ¶ {calm} {sleep_end}
awake =
    {Night}, {hero} no [podía dormir|pegaba ojo]. {Noise}, sonaba [en el tejado|en la oscuridad|bajo el suelo|afuera|tras la pared].
    | {Night}, {hero} despertó de un sueño con {some} {beasts}. {Noise}, sonaba.
night = una noche {weather.a} de {month} | a las {hour} de una noche {weather.a} | la noche del {date} de {month}
guess =
    ¿Sería {monster} {menace}? ¿O {monster2} {menace2}?
    | Pensó en {monster} {menace} y se tapó con la manta {tint.a} hasta [la nariz|las cejas|las orejas|la coronilla].
    | Contó {some} [ovejas|estrellas|{vegetable}|cigüeñas], pero pensaba en {monster} {menace}.
fiend as monster, monster2 = un dragón | una bruja | un ogro | un pirata | un fantasma | un lobo | un bandolero | el coco | el hombre del
    saco | una momia | un vampiro | un cocodrilo | un gigante | un duende | una serpiente
trait as menace, menace2 = con catarro | con {some} [cabezas|dientes|narices|patas] | con zancos | con zuecos | en bicicleta | con
    {garment2.new} | en busca de {food4} | loco por {course.the} | con {thing3}
dare =
    [Cogió|Agarró] {thing} y salió [de puntillas|sin ruido|descalz{hero.o}|con {pet_name}].
    | Se puso {garment.la}, cogió {thing} y salió [de puntillas|sin ruido|descalz{hero.o}|con {pet_name}].
meet =
    {Spot} temblaba {friend}, con {thing2} por [espada|escudo|arma|casco|lanza]. ¶ —¿Lo oyes? —{whispered} {shyly}. ¶ {Noise.truth}.
    | {Spot} chocó con {friend}. ¶ —¿Eres {monster}? —{whispered} {friend} {shyly}. ¶ —Todavía no. ¡Mira! ¶ {Noise.truth}.
calm =
    Se rieron, despertaron a {some} [patos|gallos|burros|gansos|vecinos] y {noise.cure}.
    | —¡{Oh}! —{cried} {friend} {loudly}, y {noise.cure}.
sleep_end =
    Quedó todo tan [quieto|callado] que se oía crecer {flower.al} y [roncar|cantar|reír] {elder.al}, {elder.job}.
    | {Elder}, {elder.job}, les llevó {food2}, y a las {hour} roncaba hasta {pet_name}.
    | {Friend} se quedó a [cenar|desayunar] {food2} y {food3} con {elder}, {elder.job}.
night_noise (sound / truth / cure) as noise =
    toc, toc, toc / era una contraventana {tint.a} / la ataron con {some} cintas {tint.as}
    | uh, uh, uh / era un mochuelo perdido / lo llevaron a un {tree}, a {some} pasos
    | ñic, ñic, ñic / era una veleta oxidada / le echaron {some} gotas de aceite de {herb}
    | plic, plic, plic / era una gotera sobre {thing3} / la taparon con {course.bare}
    | ras, ras, ras / era {a_beast} con los pies fríos / le hicieron una cama en [un zapato {tint.o}|una taza {tint.a}|un guante {tint.o}]
    | tolón, tolón, tolón / era una cabra que comía {flower} / la llevaron a casa con {some} {vegetable}
    | snif, snif, snif / era un cachorro asustado por {thing3} / le dieron {course.bare} y {some} besos
    | bzz, bzz, bzz / eran {some} abejas en un farol {tint.o} / las soltaron entre {flower.the}
    | rum, rum, rum / era un barril {tint.o} que rodaba / lo llenaron con {some} piedras
    | clic, clac, clic / eran los {family}, que tejían por no estar solos / les pidieron {some} cuentos
    | pom, pom, pom / eran {vegetable} que caían de un carro / recogieron {some} en {garment.la}

# Plot 8: a secret is found, and is better when shared.

a_secret = {found} ¶ {secret_ask} ¶ {secret_go} ¶ {Find.opens}. {secret_inside} {secret_share}
found =
    {When}, {place}, {hero} encontró {find} {place.near}, entre {thing} y {thing2}.
    | {When}, {place}, {pet_name} {pet.cry} {some} veces. {Place.near}, junto a {thing}, había {find}.
secret_ask =
    —¿Te has tragado {thing3}? —{asked} {friend} {gently}. ¶ Y [buscaron|visitaron|despertaron|llamaron] {elder.al}, {elder.job}, que
        estaba {idle}.
    | {Friend}, que estaba {idle}, [se frotó los ojos|dio un brinco|se rascó la cabeza]. ¶ —Hay que [preguntar|decírselo] {elder.al},
        {elder.job} —{said} {gently}.
secret_go =
    —Llevo {some} años esperándolo —{said} {elder} {gently}, y [fue|corrió|echó a andar] hacia {landmark}.
    | Con {food2} y {food3} en [la cesta|el zurrón|la mochila], {elder} [fue|corrió|echó a andar] hacia {landmark}.
secret_inside = Dentro [había|dormía|esperaba] {hoard}. | ¿Y dentro? ¡{Hoard}!
hoard = [un tiovivo|un teatro de títeres|un piano|un trineo|un tren] {tint.o} con {some} [campanillas|caballos|faroles|estrellas|ruedas] |
    {some} [cometas|linternas|máscaras|panderetas|marionetas] {tint.as} | {some} tarros de mermelada de {fruit} | un jardín de {flower} |
    {some} [cuentos|romances|libros|tebeos] de {beasts}
secret_share =
    ¶ —Es como {course.the} —{said} {hero} {gently}—: mejor en compañía.
    | El {weekday3} [vinieron|acudieron] {some} [vecinos|niños|primos|curiosos], con {food4}.
    | ¶ —Lo [escondí|dejé|guardé] yo —{said} {elder} {gently}— con {few} años.
finding (name / opens) as find =
    una llave [oxidada|diminuta|de plata|torcida] / la llave abrió una puerta {tint.a}
    | medio mapa [roto|quemado|mordido] / la otra mitad estaba bajo {some} piedras
    | una botella {tint.a} con [una carta|una nota|un poema] / cavaron {some} palmos, como decía la botella
    | una pluma {tint.a} larga como {some} {vegetable} / la pluma señalaba una cueva
    | una piedra con {some} [estrellas|lunas|flechas|espirales] / la piedra encajó en un muro {tint.o}
    | un botón de [cobre|latón|plata] con un ancla / otros {some} botones brillaban en un baúl
    | una flecha de [guijarros|conchas|bellotas] / otras {some} flechas llevaban a una verja {tint.a}
    | un billete con el número {date} / {some} arañas guardaban una taquilla {tint.a}
    | un hilo {tint.o} sin fin / el hilo cruzaba {some} setos

# Plot 9: somebody small is stuck.

a_rescue = {cry} {rescue_try} ¶ {rescue_friend} ¶ {rescue_tool} ¶ {rescue_out} {rescue_end}
cry =
    {When}, camino de {village2}, {hero} [oyó|escuchó] un [grito|llanto|quejido]: «¡{Help}!». Era {small}, [atrapado|atascado|preso] {trap}.
    | «¡{Help}!», [gritó|lloró|gimió] alguien {when}, camino de {village2}. Era {small}, [atrapado|atascado|preso] {trap}.
help = socorro | auxilio | ayuda | mamá | que alguien me saque | sacadme de aquí
small = [un patito|un cordero|un cabrito|un gatito|un pollito|un potro|un ternero|un lechón|un cervatillo|un conejito] {mood.o} llamado
    {baby}
rescue_try =
    {Hero} {trap.try}. Nada.
    | —¡[Tranquilo|No temas|Ánimo]! —{said} {hero} {gently}, y {trap.try}. Nada.
rescue_friend =
    [Llegó|Pasó|Apareció] {friend} con {thing} y {thing2}. ¶ —[Hace falta|Necesitamos] {trap.tool} —{said} {gently}.
    | {Friend} estaba {idle} [cerca|a la vuelta]. ¶ —¡[Hace falta|Necesitamos] {trap.tool}! —{cried} {hero} {loudly}.
rescue_tool =
    {Elder}, {elder.job}, tenía justo eso en [casa|el taller|el corral|la bodega|el desván|el granero|la cuadra].
    | —Para el {weekday2} lo quiero de vuelta —{said} {elder}, {elder.job}, {gently}.
    | {Elder}, {elder.job}, que estaba {idle}, se lo dio [enseguida|por {food}].
rescue_out =
    Contaron hasta {some} y {trap.out}.
    | {Friend} habló a {baby} de {monster} {menace}, y {trap.out}.
rescue_end =
    ¶ —Gracias —{said} {baby} {gently}, y les regaló {thing3}.
    | La madre de {baby} les [dio|sirvió|ofreció] {food2} y {food3}.
    | {Some} años después, {hero} acabó {trap}. ¿Y quién acudió? {Baby}, con {food2}.
predicament (where / try / tool / out) as trap =
    en lo alto de un {tree} / sacudió el tronco hasta que cayeron {some} ramas / una manta {tint.a} / tendieron la manta
    | en el barro de una charca / perdió {some} botones {tint.os} / un tablón de {some} palmos / caminaron por el tablón
    | en una verja / tiró {some} veces / un jabón {tint.o} / enjabonaron {some} barrotes
    | en un pozo / echó {garment.la} / un cubo {tint.o} / subieron el cubo
    | en una zarza / se hizo {some} arañazos / un guante {tint.o} / apartaron {some} espinas
    | en una isla del río / se metió hasta [la nariz|las orejas|el ombligo] / un barreño {tint.o} / remaron con {some} cucharas
    | en una tinaja / la volcó {some} veces / un cántaro {tint.o} / echaron {some} cántaros de agua, y {baby} flotó
    | en el tejado {house.del} / apiló {some} cajas / un palo de {some} metros / treparon
    | en una red de pesca / hizo {some} nudos más / un cuchillo {tint.o} / cortaron {some} nudos
    | debajo de un {tree} caído / empujó {some} veces / un palo de {some} palmos / levantaron el tronco

# Plot 10: a letter to the Three Kings flies away, and somebody lonely reads it.

a_letter = {letter} {letter_flies} ¶ {letter_friend} ¶ {letter_found} ¶ {letter_gift} ¶ {letter_end}
letter =
    El {date} de diciembre, {hero} escribió a los Reyes Magos: quería {toy.una}, {food} y {some} [besos|cuentos|primos|petardos].
    | «Queridos Reyes: quiero {toy.una}, {food} y {some} [besos|cuentos|primos|petardos]», escribió {hero} el {date} de diciembre.
letter_flies =
    Pero el viento se llevó la carta, y {pet_name} solo [encontró|halló|trajo] {thing} y {thing4}.
    | Pero el viento se llevó la carta {place}, y {pet_name} solo [encontró|halló|trajo] {thing}.
letter_friend =
    —Los Reyes ya la tendrán —{said} {friend}, que estaba {idle}.
    | —Escribe otra —{said} {friend} {gently}. ¶ Pero {hero} no quiso ni {food2}.
letter_found =
    La carta [cayó|aterrizó] en [la sopa|el balcón|el sombrero|la cesta|el gallinero] {elder.del}, {elder.job}, que llevaba {some} años sin
        recibir ninguna.
    | {Elder}, {elder.job}, la encontró entre {thing2} y {thing3}. Llevaba {some} años sin recibir ninguna.
letter_gift =
    El día de Reyes apareció {toy.una} con {some} [lazos|cascabeles|botones] {tint.os} y olor a {herb}. ¶ —¡Es cosa {elder.del}!
        —{cried} {friend} {loudly}.
    | El día de Reyes, entre {flower}, apareció {toy.una}. ¶ —¡Huele a {herb} y a {herb2}, como {elder}! —{cried} {friend} {loudly}.
letter_end =
    Y {elder} recibió medio roscón, {food3} y {some} [cartas|visitas].
    | Y {elder} recibió {some} cartas, {flower} y {food3}.
    | Y {hero} escribe {elder.al} cada {day}, y llegan {food3} y {food4}.

# The people, places and things that are cast.

animal (name / full / cry) as pet = gato / gato {mood.o} / maulló | perro / perro {mood.o} / ladró | burra / burra {mood.a} / rebuznó |
    cabra / cabra {mood.a} / baló | oca / oca {mood.a} / graznó | loro / loro {mood.o} / silbó | gallina / gallina {mood.a} / cacareó |
    grillo / grillo {mood.o} / cantó | conejo / conejo {mood.o} / brincó | paloma / paloma {mood.a} / arrulló | oveja / oveja {mood.a} /
    saltó | ratón / ratón {mood.o} / chilló | mula / mula {mood.a} / relinchó | urraca / urraca {mood.a} / voló | tortuga / tortuga
    {mood.a} / parpadeó | pato / pato {mood.o} / aleteó | hurón / hurón {mood.o} / olfateó | gallo / gallo {mood.o} / cantó | rana /
    rana {mood.a} / croó | erizo / erizo {mood.o} / estornudó | cigüeña / cigüeña {mood.a} / crotoró | ardilla / ardilla {mood.a} / brincó
animal_name as pet_name = Garbanzo | Pimienta | Chispa | Trasto | Churro | Lenteja | Tizón | Pelusa | Mendrugo | Bolita | Duende | Migas |
    Canela | Nube | Rabanito | Trueno | Perejil | Sultán | Caramelo | Pulga | Bandido | Mochuelo | Estrella | Botines |
    Mazapán | Tambor | Farolillo | Nerón | Lunares | Remiendo | Chocolate | Cascarón | Relámpago | Nevada | Ajito | Tulipán | Princesa |
    Tormenta | Fideo | Capitán
baby_name as baby = Pío | Copito | Saltarín | Tapón | Bombón | Motas | Remolino | Guisante | Calcetín | Alfiler | Bellota | Lucero | Pompón |
    Cascabel | Membrillo | Suspiro
position as spot = junto {landmark.al} | detrás {landmark.del} | cerca {landmark.del} | enfrente {landmark.del} | al lado {landmark.del} |
    frente {landmark.al}
mark (el / del / al) as landmark =
    la fuente / de la fuente / a la fuente | el pozo / del pozo / al pozo | el puente / del puente / al puente | la torre / de la torre
    / a la torre | el olmo / del olmo / al olmo | la estatua / de la estatua / a la estatua | el abrevadero / del abrevadero / al
    abrevadero | la ermita / de la ermita / a la ermita | el reloj / del reloj / al reloj | la palmera / de la palmera / a la palmera |
    el quiosco / del quiosco / al quiosco | la higuera / de la higuera / a la higuera | el horno / del horno / al horno | el pajar / del
    pajar / al pajar | la muralla / de la muralla / a la muralla | el buzón / del buzón / al buzón | la farola / de la farola / a la
    farola | el gallinero / del gallinero / al gallinero |
    el roble / del roble / al roble | la veleta / de la veleta / a la veleta | el lavadero / del lavadero / al lavadero | la cruz / de la cruz / a la
    cruz | el arco / del arco / al arco | la escalinata / de la escalinata / a la escalinata
building (el / del / al) as house =
    el molino / del molino / al molino | la iglesia / de la iglesia / a la iglesia | la escuela / de la escuela / a la escuela | el faro /
    del faro / al faro | el teatro / del teatro / al teatro | la posada / de la posada / a la posada | el mercado / del mercado / al
    mercado | la herrería / de la herrería / a la herrería | el ayuntamiento / del ayuntamiento / al ayuntamiento | la estación / de la
    estación / a la estación | el castillo / del castillo / al castillo | la biblioteca / de la biblioteca / a la biblioteca
spot_to_search (en / near / far / deep) as place =
    en el olivar / {near} del [muro|cobertizo|olivo] / entre los [cestos|capazos|sacos] / en [una tinaja|la acequia]
    | en la playa / {near} del [espigón|bote|chiringuito] / entre las [conchas|dunas|algas] / en [una cueva|un charco]
    | en la plaza / {near} del [templete|ayuntamiento|banco] / entre las [palomas|mesas|sillas] / en [un cubo|una maceta]
    | en el mercado / {near} del [puesto|mostrador|pregonero] / entre los [melones|botijos|quesos] / en [la balanza|un barril]
    | en el puerto / {near} del [muelle|velero|timón] / entre las [redes|cuerdas|anclas] / en [una barca|una nasa]
    | en la era / {near} del [trillo|almiar|carro] / entre las [gavillas|horcas|amapolas] / en [un saco|un cesto]
    | en el lavadero / {near} del [caño|pilón|tendedero] / entre las [sábanas|pinzas|toallas] / en [un balde|una cesta]
    | en la estación / {near} del [andén|vagón|banco] / entre las [maletas|vías|cajas] / en [una sombrerera|un baúl]
    | en el palomar / {near} del [ventanuco|nido|comedero] / entre las [plumas|vigas|tejas] / en [un saco|un agujero]
    | en el castillo / {near} del [foso|trono|aljibe] / entre las [almenas|armaduras|banderas] / en [la mazmorra|un cañón]
    | en el parque / {near} del [estanque|columpio|tobogán] / entre los [rosales|bancos|setos] / en [una papelera|la arena]
    | en la huerta / {near} del [pozo|espantapájaros|invernadero] / entre las [lechugas|calabazas|coles] / en [una maceta|la alberca]
    | en el viñedo / {near} del [lagar|chozo|carro] / entre las [cepas|parras|cestas] / en [una cuba|un hoyo]
    | en la escuela / {near} del [esqueleto|piano|armario] / entre los [pupitres|mapas|tinteros] / en [un baúl|un cajón]
    | en el pinar / {near} del [tronco|refugio|arroyo] / entre las [piñas|agujas|setas] / en [una madriguera|un nido]
    | en el museo / {near} del [mamut|faraón|tapiz] / entre las [espadas|vasijas|coronas] / en [un sarcófago|un jarrón]
near = debajo | detrás | al lado | cerca | enfrente | delante

elder_of_town (name / al / del / job) as elder =
    doña {woman} / a doña {woman} / de doña {woman} / la {job.ella}
    | la tía {woman} / a la tía {woman} / de la tía {woman} / la {job.ella}
    | la abuela {woman} / a la abuela {woman} / de la abuela {woman} / la {job.ella}
    | la señora {woman} / a la señora {woman} / de la señora {woman} / la {job.ella}
    | la prima {woman} / a la prima {woman} / de la prima {woman} / la {job.ella}
    | don {man} / a don {man} / de don {man} / el {job.el}
    | el tío {man} / al tío {man} / del tío {man} / el {job.el}
    | el abuelo {man} / al abuelo {man} / del abuelo {man} / el {job.el}
    | el señor {man} / al señor {man} / del señor {man} / el {job.el}
    | el primo {man} / al primo {man} / del primo {man} / el {job.el} |
    la madrina {woman} / a la madrina {woman} / de la madrina {woman} / la {job.ella} | la comadre {woman} / a la comadre
    {woman} / de la comadre {woman} / la {job.ella} | el padrino {man} / al padrino {man} / del padrino {man} / el {job.el} | el compadre
    {man} / al compadre {man} / del compadre {man} / el {job.el}
women as woman = Remedios | Paca | Tomasa | Encarna | Dolores | Engracia | Ramona | Casilda | Petra | Brígida | Hortensia | Consuelo |
    Asunción | Virtudes | Eulalia | Jacoba | Leocadia | Micaela | Nicanora | Obdulia | Prudencia | Quiteria | Rufina | Saturnina | Úrsula |
    Venancia | Felisa | Gertrudis | Benigna | Cleofé | Isidra | Basilisa | Trinidad | Flora | Hilaria |
    Patrocinio | Amalia | Visitación | Fermina | Dorotea | Macaria | Genoveva | Leandra | Teófila | Nieves
men as man = Anselmo | Blas | Cosme | Lucas | Eusebio | Fulgencio | Gumersindo | Hilario | Isidoro | Jerónimo | Leoncio | Melitón | Nicasio |
    Onofre | Policarpo | Quintín | Ruperto | Saturio | Teodoro | Ubaldo | Valentín | Wenceslao | Zacarías | Agapito | Baldomero | Casimiro |
    Demetrio | Evaristo | Froilán | Genaro | Abundio | Ceferino | Eleuterio | Práxedes | Tiburcio |
    Bonifacio | Canuto | Epifanio | Macario | Pascual | Rosendo | Serafín | Toribio | Venancio | Zoilo
surname as family = Robles | Quesada | Olmedo | Castaño | Pedrosa | Zurita | Lobato | Mantecón | Peral | Cebrián | Moncayo | Gallardo | Tejero |
    Berrocal | Cantero | Doblado | Escudero | Fajardo | Guijarro | Herrera | Izquierdo | Jurado | Lozano | Matute | Nogales | Ordóñez |
    Palomo | Redondo | Salinas | Tortosa | Urrutia | Vallejo | Zapata | Alegre | Bermejo | Cordero | Delgado | Espino |
    Aguado | Barroso | Calvo | Dorado | Fuentes | Galindo | Marín | Olivares | Pastor | Rivas | Segura | Trigo
trade (el / ella) as job =
    panadero / panadera | herrero / herrera | pastor / pastora | relojero / relojera | zapatero / zapatera | molinero / molinera |
    pescador / pescadora | farero / farera | alfarero / alfarera | carpintero / carpintera | jardinero / jardinera | librero / librera |
    boticario / boticaria | campanero / campanera | titiritero / titiritera | churrero / churrera | maestro / maestra | cestero / cestera |
    quesero / quesera | apicultor / apicultora | barquero / barquera | tejedor / tejedora | pintor / pintora | afilador / afiladora |
    barbero / barbera | hortelano / hortelana | confitero / confitera | calderero / calderera | sombrerero / sombrerera | acordeonista /
    acordeonista | alcalde / alcaldesa | poeta / poetisa | domador / domadora | guardabosques / guardabosques |
    sastre / sastra | bombero / bombera | vinatero / vinatera | fotógrafo / fotógrafa | cantero / cantera | ventero /
    ventera |
    cerrajero / cerrajera | bodeguero / bodeguera | vaquero / vaquera | pregonero / pregonera | astrónomo / astrónoma | tonelero / tonelera
head_of_town as town_head, town_head2 = Aldea | Fuente | Peña | Torre | Villa | Puebla | Casas | Arroyo | Monte | Puerto | Valle | Cerro |
    Campo | Huerta |
    Dehesa | Rincón | Cuesta | Barranco | Posada | Venta
tail_of_town as town_tail, town_tail2 = del Olivo | del Viento | de la Luna | del Almendro | de los Grillos | de las Cigüeñas | del Molino |
    de la Sal | del Romero | de las Nieves | del Lobo | de la Miel | de los Gatos | del Trueno | de la Reina | del Cuco | de las Abejas |
    del Pan | de la Niebla | del Sauce | de los Cuentos | de la Siesta | del Mirlo | de las Uvas |
    del Gallo | de las Moras | del Tomillo | de la Seda | del Búho | de las Ranas | de la Cometa | del Queso | de los Relojes | de la Nuez |
    del Ajo | del Farol | de las Liebres | de la Lluvia | del Erizo | de las Campanas | del Gigante | de los Botijos | de la Nube | del Grillo
temper = curios{hero.o} | alegre | tímid{hero.o} | valiente | tranquil{hero.o} | risueñ{hero.o} | despistad{hero.o} | paciente |
    list{hero.o} | cabezota | inquiet{hero.o} | cariños{hero.o} | optimista | travies{hero.o} | educad{hero.o} | pequeñ{hero.o} |
    presumid{hero.o} | amable | fantasios{hero.o} | ordenad{hero.o} | golos{hero.o}
tint (o / a / os / as) as colour =
    rojo / roja / rojos / rojas | verde / verde / verdes / verdes | azul / azul / azules / azules | amarillo / amarilla / amarillos /
    amarillas | morado / morada / morados / moradas | blanco / blanca / blancos / blancas | negro / negra / negros / negras | gris / gris /
    grises / grises | naranja / naranja / naranjas / naranjas | violeta / violeta / violetas / violetas | turquesa / turquesa / turquesas /
    turquesas | dorado / dorada / dorados / doradas | plateado / plateada / plateados / plateadas | celeste / celeste / celestes / celestes
    | marrón / marrón / marrones / marrones | granate / granate / granates / granates | a rayas / a rayas / a rayas / a rayas | a cuadros /
    a cuadros / a cuadros / a cuadros | de lunares / de lunares / de lunares / de lunares | rosado / rosada / rosados / rosadas | pardo /
    parda / pardos / pardas | escarlata / escarlata / escarlatas / escarlatas |
    carmesí / carmesí / carmesíes / carmesíes | fucsia / fucsia / fucsias / fucsias | cobrizo / cobriza / cobrizos / cobrizas | transparente / transparente / transparentes / transparentes | color miel / color miel / color miel / color miel | añil / añil / añiles / añiles |
    color vino / color vino / color vino / color vino | brillante / brillante / brillantes / brillantes | negruzco / negruzca / negruzcos / negruzcas
    | verdoso / verdosa / verdosos / verdosas | anaranjado / anaranjada / anaranjados / anaranjadas
fabric as cloth = de lana | de pana | de algodón | de fieltro | de terciopelo | de lino | de seda | de retales | de cuero | de franela |
    de ganchillo | de lona
clothing (una / la / new) as garment, garment2 =
    una bufanda {colour.a} {cloth} / la bufanda / una bufanda {tint.a}
    | un gorro {colour.o} {cloth} / el gorro / un gorro {tint.o}
    | un chaleco {colour.o} {cloth} / el chaleco / un chaleco {tint.o}
    | una boina {colour.a} {cloth} / la boina / una boina {tint.a}
    | una capa {colour.a} {cloth} / la capa / una capa {tint.a}
    | una chaqueta {colour.a} {cloth} / la chaqueta / una chaqueta {tint.a}
    | un jersey {colour.o} {cloth} / el jersey / un jersey {tint.o}
    | un sombrero {colour.o} {cloth} / el sombrero / un sombrero {tint.o}
    | un pañuelo {colour.o} {cloth} / el pañuelo / un pañuelo {tint.o}
    | un poncho {colour.o} {cloth} / el poncho / un poncho {tint.o}
    | un abrigo {colour.o} {cloth} / el abrigo / un abrigo {tint.o}
    | una camisa {colour.a} {cloth} / la camisa / una camisa {tint.a}
    | una bata {colour.a} {cloth} / la bata / una bata {tint.a}
    | un mandil {colour.o} {cloth} / el mandil / un mandil {tint.o}
    | una corbata {colour.a} {cloth} / la corbata / una corbata {tint.a}
hobby = {doing} {treasured}
hobbying = {doing.gerund} {treasured}
pastime (name / gerund) as doing = pintar / pintando | coleccionar / coleccionando | contar / contando | dibujar / dibujando | ordenar /
    ordenando | esconder / escondiendo | limpiar / limpiando | regalar / regalando | bautizar / bautizando | amontonar / amontonando |
    remendar / remendando | cambiar / cambiando | pesar / pesando | admirar / admirando |
    vender / vendiendo | apilar / apilando | adornar / adornando | lustrar / lustrando
treasures as treasured = piedras | botones | caracolas | plumas | canicas | llaves | campanillas | mapas | hojas secas | cucharas | tapones |
    sellos | castañas | sombreros | cometas | cromos | farolillos | relojes | tambores | zuecos | piñas | cojines | botijos | abanicos |
    sonajeros | sandías | monedas | velas |
    peonzas | bellotas | flautas | teteras | dedales | abrigos | bufandas | espejos
thing_found as thing, thing2, thing3, thing4 =
    una llave {worn.a} | una cuchara {worn.a} | una bota {worn.a} | una botella {worn.a} | un peine {worn.o} | un botón {worn.o} | un anzuelo
    {worn.o} | una taza {worn.a} | una cinta {worn.a} | un dedal {worn.o} | un clavo {worn.o} | una piña {worn.a} | un corcho {worn.o} | un
    cubo {worn.o} | una sartén {worn.a} | una herradura {worn.a} | un guante {worn.o} | una moneda {worn.a} | una pluma {worn.a} | una
    concha {worn.a} | un candil {worn.o} | un lápiz {worn.o} | una rueda {worn.a} | un calcetín {worn.o} | una nuez {worn.a} | un rodillo
    {worn.o} | un colador {worn.o} | un trombón {worn.o} | una escoba {worn.a} | un abanico {worn.o} | una tetera {worn.a} | un cencerro
    {worn.o} | una castañuela {worn.a} | un paraguas {worn.o} |
    un tenedor {worn.o} | una lupa {worn.a} | un embudo {worn.o} | una jaula {worn.a} | un sello {worn.o} | una peonza {worn.a} | un timbre
    {worn.o} | un dado {worn.o} | una maceta {worn.a}
worn (o / a) = oxidado / oxidada | pegajoso / pegajosa | polvoriento / polvorienta | diminuto / diminuta | abollado / abollada | olvidado /
    olvidada | mojado / mojada | torcido / torcida | misterioso / misteriosa | enorme / enorme | brillante / brillante | solitario /
    solitaria | mordido / mordida | pintado / pintada | encantado / encantada | peludo / peluda | gastado / gastada | perdido / perdida |
    triste / triste | arrugado / arrugada | embrujado / embrujada | congelado / congelada | roñoso / roñosa | famoso / famosa |
    apolillado / apolillada | dorado / dorada | helado / helada | invisible / invisible | mágico / mágica | cojo / coja | reluciente / reluciente |
    tuerto / tuerta | empapado / empapada | descolorido / descolorida | valiosísimo / valiosísima | asustado / asustada |
    chamuscado / chamuscada | ruidoso / ruidosa | hueco / hueca | afilado / afilada | blando / blanda | rayado / rayada | musical / musical |
    prestado / prestada | heredado / heredada | peligroso / peligrosa
beast (un / bare / many) = un grillo {mood.o} / grillo / grillos {tint.os} | una mariquita {mood.a} / mariquita / mariquitas {tint.as} | un caracol
    {mood.o} / caracol / caracoles {tint.os} | un escarabajo {mood.o} / escarabajo / escarabajos {tint.os} | una oruga {mood.a} / oruga /
    orugas {tint.as} | un saltamontes {mood.o} / saltamontes / saltamontes {tint.os} | una araña {mood.a} / araña / arañas {tint.as} | una
    polilla {mood.a} / polilla / polillas {tint.as} | un abejorro {mood.o} / abejorro / abejorros {tint.os} | un sapo {mood.o} / sapo / sapos
    {tint.os} | una lagartija {mood.a} / lagartija / lagartijas {tint.as} | una luciérnaga {mood.a} / luciérnaga / luciérnagas {tint.as} |
    una hormiga {mood.a} / hormiga / hormigas {tint.as} | un ciempiés {mood.o} / ciempiés / ciempiés {tint.os} | una libélula {mood.a} /
    libélula / libélulas {tint.as} | una salamandra {mood.a} / salamandra / salamandras {tint.as} | un mosquito {mood.o} / mosquito /
    mosquitos {tint.os} |
    un gusano {mood.o} / gusano / gusanos {tint.os} | una avispa {mood.a} / avispa / avispas {tint.as} | una cigarra {mood.a} / cigarra / cigarras
    {tint.as} | un renacuajo {mood.o} / renacuajo / renacuajos {tint.os} | un cangrejo {mood.o} / cangrejo / cangrejos {tint.os} | una culebra
    {mood.a} / culebra / culebras {tint.as}
a_beast = {beast}
beasts = {beast.many}
mood (o / a) = gordo / gorda | dormido / dormida | diminuto / diminuta | sorprendido / sorprendida | enfadado / enfadada | orgulloso /
    orgullosa | tímido / tímida | hambriento / hambrienta | educado / educada | nervioso / nerviosa | contento / contenta | pecoso / pecosa |
    perdido / perdida | silencioso / silenciosa | pálido / pálida | viejísimo / viejísima | elegante / elegante | solemne / solemne | miope /
    miope | coqueto / coqueta | gruñón / gruñona | bailarín / bailarina | acatarrado / acatarrada |
    vanidoso / vanidosa | distraído / distraída | melancólico / melancólica | presumido / presumida | feroz / feroz | cojo / coja | verde / verde |
    friolero / friolera | goloso / golosa | filósofo / filósofa | risueño / risueña |
    sonámbulo / sonámbula | aplicado / aplicada | glotón / glotona | enamorado / enamorada | despeinado / despeinada | sabio / sabia | patoso / patosa |
    rubio / rubia | mareado / mareada | intrépido / intrépida
meal (full / bare / the) as food, food2, food3, food4, food5, food6, course =
    pan {fresh.o} / pan / el pan | croquetas {fresh.as} / croquetas / las croquetas | tortilla {fresh.a} / tortilla / la tortilla | churros
    {fresh.os} / churros / los churros | lentejas {fresh.as} / lentejas / las lentejas | buñuelos {fresh.os} / buñuelos / los buñuelos |
    arroz con leche {fresh.o} / arroz con leche / el arroz con leche | gazpacho {fresh.o} / gazpacho / el gazpacho | empanadillas
    {fresh.as} / empanadillas / las empanadillas | rosquillas {fresh.as} / rosquillas / las rosquillas | membrillo {fresh.o} / membrillo /
    el membrillo | queso {fresh.o} / queso / el queso | castañas {fresh.as} / castañas / las castañas | turrón {fresh.o} / turrón / el turrón
    | natillas {fresh.as} / natillas / las natillas | torrijas {fresh.as} / torrijas / las torrijas | sopa {fresh.a} / sopa / la sopa |
    garbanzos {fresh.os} / garbanzos / los garbanzos | magdalenas {fresh.as} / magdalenas / las magdalenas | chocolate {fresh.o} / chocolate /
    el chocolate | almendras {fresh.as} / almendras / las almendras | empanada {fresh.a} / empanada / la empanada | pisto {fresh.o} / pisto /
    el pisto | fideos {fresh.os} / fideos / los fideos | aceitunas {fresh.as} / aceitunas / las aceitunas | mazapán {fresh.o} / mazapán / el
    mazapán | albóndigas {fresh.as} / albóndigas / las albóndigas | pestiños {fresh.os} / pestiños / los pestiños | dátiles {fresh.os} / dátiles /
    los dátiles | patatas {fresh.as} / patatas / las patatas | flan {fresh.o} / flan / el flan | puchero {fresh.o} / puchero / el puchero |
    bizcocho {fresh.o} / bizcocho / el bizcocho | migas {fresh.as} / migas / las migas | roscos {fresh.os} / roscos / los roscos | caldo {fresh.o} /
    caldo / el caldo | requesón {fresh.o} / requesón / el requesón | uvas {fresh.as} / uvas / las uvas | setas {fresh.as} / setas / las setas |
    polvorones {fresh.os} / polvorones / los polvorones
fresh (o / a / os / as) =
    caliente / caliente / calientes / calientes | frío / fría / fríos / frías | casero / casera / caseros / caseras | quemado / quemada /
    quemados / quemadas | dulce / dulce / dulces / dulces | salado / salada / salados / saladas | crujiente / crujiente / crujientes /
    crujientes | con miel / con miel / con miel / con miel | con canela / con canela / con canela / con canela | de ayer / de ayer / de ayer
    / de ayer | con azúcar / con azúcar / con azúcar / con azúcar | ahumado / ahumada / ahumados / ahumadas | picante / picante / picantes /
    picantes | dorado / dorada / dorados / doradas | templado / templada / templados / templadas | sin sal / sin sal / sin sal / sin sal |
    recién hecho / recién hecha / recién hechos / recién hechas | con limón / con limón / con limón / con limón |
    de monte / de monte / de monte / de monte | tierno / tierna / tiernos / tiernas | con ajo / con ajo / con ajo / con ajo | congelado / congelada /
    congelados / congeladas | agridulce / agridulce / agridulces / agridulces | amargo / amarga / amargos / amargas | sin azúcar / sin azúcar / sin
    azúcar / sin azúcar | con perejil / con perejil / con perejil / con perejil
blossom (name / the / al) as flower = claveles / los claveles / a los claveles | rosas / las rosas / a las rosas | amapolas / las amapolas / a las
    amapolas | margaritas / las margaritas / a las margaritas | geranios / los geranios / a los geranios | violetas / las violetas / a las
    violetas | lirios / los lirios / a los lirios | tulipanes / los tulipanes / a los tulipanes | jazmines / los jazmines / a los jazmines |
    azucenas / las azucenas / a las azucenas | girasoles / los girasoles / a los girasoles | dalias / las dalias / a las dalias | hortensias /
    las hortensias / a las hortensias | petunias / las petunias / a las petunias | narcisos / los narcisos / a los narcisos |
    camelias / las camelias / a las camelias | nardos / los nardos / a los nardos | pensamientos / los pensamientos / a los pensamientos | begonias /
    las begonias / a las begonias | alhelíes / los alhelíes / a los alhelíes
wood as tree = olivo | almendro | roble | nogal | pino | castaño | olmo | chopo | cerezo | granado | limonero | algarrobo | sauce | manzano
herbs as herb, herb2 = tomillo | romero | menta | salvia | hinojo | manzanilla | lavanda | hierbabuena | orégano | laurel | albahaca | tila | anís
fruits as fruit = cereza | fresa | mora | ciruela | granada | naranja | limón | higo | membrillo | frambuesa | arándano | melocotón | pera
vegetable = patatas | cebollas | naranjas | zanahorias | habas | ajos | pimientos | limones | nueces | castañas | calabacines | berenjenas |
    manzanas | rábanos | pepinos
few = cuatro | cinco | seis | siete | ocho | nueve | diez
some = dos | tres | cuatro | cinco | seis | siete | ocho | nueve | diez | once | doce | trece | catorce | quince | dieciséis | diecisiete |
    dieciocho | diecinueve | veinte | veintidós | treinta | cuarenta | cincuenta | cien | mil
date = dos | tres | cuatro | cinco | seis | siete | ocho | nueve | diez | once | doce | trece | catorce | quince | dieciséis | diecisiete |
    dieciocho | diecinueve | veinte | veintiuno | veintidós | veintitrés | veinticuatro | veinticinco
hour = [dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce] [y media|y cuarto|y diez|menos cuarto|menos veinte|en punto]
until_late = las {hour} | medianoche | el canto del [gallo|búho|cuco|mirlo]
day (name / los) as weekday, weekday2, weekday3 = lunes / lunes | martes / martes | miércoles / miércoles | jueves / jueves |
    viernes / viernes | sábado / sábados | domingo / domingos
month_of_year as month, month2 = enero | febrero | marzo | abril | mayo | junio | julio | agosto | septiembre | octubre | noviembre | diciembre
weather (o / a) = lluvioso / lluviosa | ventoso / ventosa | soleado / soleada | nublado / nublada | gris / gris | frío / fría | caluroso /
    calurosa | brumoso / brumosa | tranquilo / tranquila | luminoso / luminosa | helado / helada | templado / templada | perezoso / perezosa |
    dorado / dorada | húmedo / húmeda | despejado / despejada |
    alegre / alegre | ruidoso / ruidosa | extraño / extraña | festivo / festiva | polvoriento / polvorienta | fresco / fresca | tormentoso /
    tormentosa | azul / azul
when = una [mañana|tarde|noche] {weather.a} | el {date} de {month} | a las {hour} de un {weekday} {weather.o} | un {weekday} {weather.o} |
    [al amanecer|al atardecer|a media tarde|después de la siesta] de un {weekday} {weather.o}
sport as game = a la rayuela | al escondite | a las canicas | al pilla-pilla | a la gallina ciega | a los piratas | a los bolos | a la comba | al
    trompo | a las cartas | al parchís | a la pídola | al corro | a las tabas | al balón

# How things are said.

idle = [pelando|lavando|cortando|contando|vendiendo] {vegetable} | [remendando|doblando|tendiendo|planchando] [redes|calcetines|sábanas|
    manteles|cortinas|pañuelos] | dando de comer a {some} [patos|gallinas|gorriones|ocas] | comiendo {food4} | barriendo [hojas|migas|el
    patio|la acera] | leyendo un libro de {beasts} | sacando brillo a {thing4} | regando {flower}
gently = con [calma|dulzura|orgullo|cariño|misterio|paciencia|mucha dignidad|picardía|la boca llena|una sonrisa|un guiño|un bostezo|una
    reverencia] | sin [prisa|dudarlo|pestañear|levantar la voz] | de [buen humor|buena gana|carrerilla] | entre [risas|bostezos|dientes] | en voz baja | a media
    voz | por fin | guiñando un ojo | sonriendo | rascándose [la cabeza|la barbilla|una oreja] | encogiéndose de hombros | poco después |
    con [retranca|asombro|modestia|elegancia|prudencia|sueño|convicción] | sin [rodeos|mirar atrás|soltar {thing4}] | de [repente|memoria] | tras
    [pensarlo|toser] | medio en broma
sadly = con [un suspiro|un hilo de voz|tristeza|amargura|un puchero|los ojos llenos de agua] | entre [hipidos|lágrimas|dientes] | mirando [al techo|al
    suelo|a {pet_name}] | sin consuelo | por {ordinal} vez | en voz baja
ordinal = primera | segunda | tercera | cuarta | quinta | sexta | séptima | octava | novena | décima
shyly = en un susurro | con [timidez|miedo|la voz temblorosa|valor|los ojos muy abiertos|un hilo de voz] | casi sin voz | al fin | de un tirón |
    de pronto | mirándose los [pies|zapatos|dedos] | mordiéndose [el labio|una uña]
loudly = de pronto | a pleno pulmón | {some} veces | con [asombro|alegría|los brazos en alto|un brinco|una carcajada] | sin aliento | dando
    [saltos|palmas|vueltas|brincos] | al momento
oh = ay, madre | anda | caramba | recórcholis | madre mía | cielos | vaya [faena|lío|chasco|susto] | rayos y truenos | por todos los
    [santos|duendes|botones|grillos] | ahí va | jolín | no puede ser | {course.bare} y {vegetable}
said = 3: dijo | comentó | declaró | murmuró | añadió | explicó
asked = preguntó | quiso saber
cried = exclamó | gritó | soltó
whispered = susurró | musitó | balbuceó | dijo
sighed = suspiró | gimió | sollozó | se lamentó
"""

GRAMMAR = Grammar(f"{NOTATION}child (name / o / lo) as hero, friend = {CHILDREN}\n")
