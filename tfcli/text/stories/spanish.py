"""The grammar of the Spanish stories; its notation is explained in `grammar.py`."""

from tfcli.text.stories.grammar import Grammar
from tfcli.text.stories.inflection import (
    after_a,
    after_de,
    bare,
    definite,
    described,
    feminine,
    feminine_plural,
    many,
    plural,
    table,
)

GIRLS = """Lucía, Carmen, Julia, Aitana, Elena, Marta, Berta, Paula, Clara, Alba, Nuria, Olga, Rocío, Sara,
    Teresa, Violeta, Zoe, Abril, Blanca, Candela, Daniela, Emilia, Fátima, Gloria, Jimena, Leonor,
    Manuela, Noelia, Pilar, Rosario, Soledad, Valeria, Ximena, Lola, Beatriz, Amparo, Aurora, Begoña,
    Celia, Dafne, Esther, Filomena, Gracia, Lidia, Mercedes, Natalia, Olivia, Raquel"""
BOYS = """Mateo, Hugo, Pablo, Diego, Javier, Nicolás, Andrés, Bruno, Carlos, Damián, Ernesto, Fermín, Gonzalo,
    Héctor, Salvador, Jacinto, Lorenzo, Marcos, Néstor, Óscar, Pedro, Quique, Rodrigo, Simón, Tomás,
    Ulises, Vicente, Álvaro, Benito, Curro, Elías, Gabriel, Joaquín, Leandro, Martín, Rafael, Alonso,
    Baltasar, Cristóbal, Emilio, Federico, Gaspar, Jorge, Miguel, Octavio, Ramón, Samuel, Víctor"""

NOTATION = """
# A story presents its hero, lets one of ten plots happen, and comes back to where it began.

story = {start} ¶ {plot} ¶ {coda}
plot = {a_loss} | {an_illness} | {a_gale} | {a_newcomer} | {a_contest} | {an_accident} | {a_sleepless_night} |
    {a_secret} | {a_rescue} | {a_letter}

start =
    {Once} vivía en {village} {hero}, {kin}{hero.o} {trade_of}, con su {pet} {pet_name}. {habit}
    | En {village}, {home}, vivía {hero}, {kin}{hero.o} {trade_of}, con su {pet} {pet_name}. {habit}
    | {Hero}, {kin}{hero.o} {trade_of}, vivía en {village} con su {pet} {pet_name}. {habit}
    | ¿Quién no [conoce|ha visto|saluda|admira] en {village} a {hero}, tan {temper}, y a su {pet}
        {pet_name}? {habit}
once = érase que se era | hace [mucho|poco|algún] tiempo | hace {some} [inviernos|veranos|cosechas|lunas] |
    cuando [la luna|el mar|el viento|el bosque] era más joven
kin = hij | niet | sobrin | ahijad | prim | herman | vecin
trade_of = del {trade.el} | de la {trade.ella}
home = en [una casa|una cueva|un molino|una cabaña|una buhardilla|una barca|un carro|un palomar] {by_house}
by_house = junto {house.al} | frente {house.al} | detrás {house.del} | cerca {house.del} |
    al lado {house.del}
village = {town_head} {town_tail}
village2 = {town_head2} {town_tail2}
habit =
    [Siempre|A todas horas|Hasta en la cama] llevaba {garment} {cloth} y [adoraba|soñaba con|no se cansaba
        de] {hobby}.
    | No salía sin {garment} {cloth} ni [pasaba un día|se acostaba|desayunaba|respiraba] sin {hobby}.
    | Tenía dos [tesoros|caprichos|secretos|manías|alegrías|virtudes]: {garment} {cloth} y {hobby}.
    | Vestía {garment} {cloth} y [pasaba los días|mataba el tiempo|era feliz|se dormía] {hobbying}.

coda =
    Luego {hero} volvió a {hobby}, con {food5} y {a_beast}.
    | Aquella noche {hero} soñó con {some} {beasts} que [sabían|querían|debían|no podían] {hobby}.
    | Y {friend} se [compró|cosió|tejió|encontró|pidió|hizo] {garment2.new} para {hobby} los {day.los}.
    | {Elder} [bordó|pintó|cosió|dibujó] {a_beast} en {garment.la}, con {some} hilos {tint.os}.
    | Ahora {hero} y {friend} [quedan|se juntan] los {day.los} para {hobby}, con {food5} y {food6}.
    | Y, colorín colorado, {hero} volvió a {hobby}, y cenó {food5} y {food6}.

# Plot 1: something is lost.

a_loss = {lost} {lost_search} ¶ {lost_talk} ¶ {lost_found}
lost =
    {When}, {place}, {hero} perdió su {toy}, [regalo|recuerdo|herencia|premio|capricho] {elder.del},
        {elder.job}.
    | —¿Y mi {toy}? —[gritó|sollozó|preguntó|chilló] {hero} {when}, {place}. ¶ Era
        [regalo|recuerdo|herencia] {elder.del}, {elder.job}.
lost_search =
    [Buscó|Miró|Rebuscó|Tanteó] {place.near}, {place.far} y {place.deep}, pero solo [encontró|halló|vio]
        {thing} y {thing2}.
    | {Place.near} había {thing}; {place.far}, {thing2}; {place.deep}, {a_beast}.
    | ¿{Place.near}? Solo {thing}. ¿{Place.far}? Solo {thing2}. ¿{Place.deep}? {A_beast}.
lost_talk =
    —¡{Oh}! —{cried} {friend}, {idle}—. ¿Dónde [paraste|descansaste|te sentaste]? ¶ —{Paused} {spot} —{said}
        {hero} {gently}.
    | —Piensa [bien|un poco|otra vez|despacio] —{said} {friend}, {idle}. ¶ —¡{Paused} {spot}!
        —[recordó|respondió|exclamó] {hero} {loudly}.
paused = di de comer a los [patos|gorriones|gatos] | comí {food} | me eché una siesta |
    me até [un zapato|una alpargata] | cogí {flower} | jugué {game} | hablé con los {family} |
    conté [nubes|golondrinas|cigüeñas]
lost_found =
    {Spot}, entre {a_beast} y {thing3}, [estaba|brillaba|esperaba|dormía] {toy.la}. {Pet_name} {pet.cry}
        {some} veces, y {hero} {toy.joy}.
    | [Allá fueron|Corrieron]. {Spot}, {a_beast} [jugaba|bailaba|dormía|luchaba] con {thing3} y {toy.la}.
        {Hero} {toy.joy}.
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

an_illness = {ill} ¶ {ill_help} ¶ {ill_cure} ¶ {ill_fair} ¶ {ill_end}
ill =
    {When}, {hero} fue a [buscar|recoger|llamar] a {friend} para {fair}. Pero {friend} tenía {ailment}, y
        parecía {pale}.
    | {When} era {fair}. Y {friend}, {kin}{friend.o} {trade_of}, tenía {ailment} y parecía {pale}.
    | {When}, {friend} tenía {ailment} y parecía {pale}. ¡Justo para {fair}! {Hero} le llevó {food}.
pale = un nabo {worn.o} | una vela {worn.a} | un queso {worn.o} | una sábana {worn.a} | un fantasma {worn.o} |
    una cebolla {worn.a} | un calcetín {worn.o} | una patata {worn.a} | un champiñón {worn.o} |
    una acelga {worn.a}
ill_help =
    {Hero} [corrió|voló|trotó|galopó] en busca {elder.del}, {elder.job}, que estaba {idle}.
    | —¡[Socorro|Ayuda|Deprisa]! —[gritó|pidió|rogó] {hero} {elder.al}, {elder.job}, que estaba {idle}.
ill_cure =
    —{Some} cucharadas de {ailment.cure} —{said} {gently}—, y nada de {course.bare}.
    | —{Some} tazas de {ailment.cure} —{said} {gently}—, y {some} [chistes|cuentos|canciones|abrazos].
    | {Elder} cogió {thing}, [removió|calentó|coló] {some} tazas de {ailment.cure} y [cantó|silbó|tarareó]
        {gently}.
ill_fair = [Mientras|Luego|A las {hour}|El {weekday2}], {hero} {fair.bring}.
ill_end =
    {Friend} se rio tanto que {ailment.gone}, y [pidió|cenó|devoró] {food2}.
    | [Pronto|Al día siguiente|El {weekday3}] {ailment.gone}, y {friend} [pidió|cenó|devoró] {food2}.
    | —¡{Oh}! —{cried} {friend} {loudly}, y {ailment.gone}.
festivity (name / bring) as fair =
    la verbena / colgó {some} farolillos {tint.os} en la ventana
    | la romería / llenó de {flower} una carretilla y la paseó {some} veces
    | la cabalgata / disfrazó de camello a {pet_name}, con {some} cojines {tint.os}
    | la feria / hizo una noria con {some} tazas {tint.as}
    | la hoguera de San Juan / encendió {some} velas {tint.as} en la ventana
    | el desfile de gigantes / desfiló con {thing2} en la cabeza y {some} {beasts} detrás
    | el teatro de títeres / hizo {some} títeres con calcetines {tint.os}
    | la vendimia / pisó {some} {vegetable} en un barreño {tint.o}
    | el baile de los {family} / bailó alrededor de la cama con {thing2}
    | el circo / hizo malabares con {some} {vegetable} y {thing2}
    | la carrera de burros / trotó {some} veces alrededor de la cama con {pet_name}
illness (name / cure / gone) as ailment =
    un resfriado / infusión de {herb} con {herb2} / dejó de estornudar | tos / jarabe de {herb} con {herb2}
        / se le pasó la tos | fiebre / infusión de {herb} con zumo de {fruit} / le bajó la fiebre | anginas
        / zumo de {fruit} con {herb} / recuperó la voz | dolor de muelas / clavo con {herb} / se le cayó la
        muela | dolor de barriga / infusión de {herb} con {herb2} / se le fue el dolor | dolor de oídos /
        aceite tibio de {herb} / volvió a oír los grillos | hipo / zumo de {fruit} con {herb} / se le fue el
        hipo | varicela / leche con {herb} / se le fueron los granos | un tobillo torcido / ungüento de
        {herb} / echó a andar

# Plot 3: a gale breaks something that everybody needs.

a_gale = {gale} ¶ {gale_need} ¶ {gale_call} ¶ {gale_work} {gale_end}
gale =
    {When}, un vendaval [bajó de la sierra|subió del mar|cruzó el llano|salió del bosque] {howling} como
        {some} {bulls} {tint.os} y {harm}.
    | {When}, el viento sopló {howling} como {some} {bulls} {tint.os}. {Harm}, y {hero} [encontró|halló]
        {thing} en [la cama|la sopa|el jardín|el zapato].
howling = [rugiendo|aullando|silbando|bufando|gruñendo]
bulls = [lobos|trenes|toros|gigantes|leones|tambores|elefantes|dragones|camiones|tigres|búfalos]
gale_need =
    —{Harm.so}. Y yo solo tengo {thing2} y {food} —{sighed} {friend} {sadly}.
    | —¡{Oh}! —{sighed} {friend} {sadly}—. {Harm.so}, y yo solo tengo {thing2}.
gale_call =
    {Hero} ató {garment.la} a un palo y llamó {elder.al}, {elder.job}, a los {family} y a {some} {beasts}.
    | {Hero} y {pet_name} [pidieron|buscaron] ayuda. {Elder}, {elder.job}, trajo {some}
        [clavos|cuerdas|escaleras|serruchos|martillos], y los {family}, {food2}.
    | {Hero} y {pet_name} [pidieron|buscaron] ayuda. Vinieron {elder}, {elder.job}, y los {family}, con
        {a_beast} y {food2}.
gale_work =
    [Trabajaron|Sudaron|Cantaron] {some} [días|horas|tardes], comieron {food3} y {food4}, y {harm.done}.
    | {Elder} contó {some} [chistes|cuentos|refranes] {gently}, {friend} contó hasta {some}, y todos
        {harm.done}.
    | Con {some} [jarras|cántaros|termos] de infusión de {herb} y {some} [canciones|ampollas|tiritas],
        {harm.done}.
gale_end =
    {Harm.proof}, y {everyone} [aplaudió|bailó|silbó|cantó].
    | {Harm.proof}. ¶ —El viento —{said} {elder}— no tiene [amigos|vecinos|{course.bare}].
    | {Harm.proof}. El siguiente vendaval huyó ante {some} banderas {tint.as}.
everyone = todo el mundo | la plaza entera | todo {village} | hasta {a_beast}
damage (what / so / done / proof) as harm =
    arrancó el tejado de la escuela / llueve en los [pupitres|cuadernos|tinteros] / clavaron {some} tablas
        de {tree} / solo entraron {some} gotas
    | rompió el puente / no hay harina para {course.bare} / tendieron {some} troncos de {tree} / pasaron
        {some} sacos de harina
    | apagó el faro / {some} barcas no ven el puerto / encendieron {some} faroles {tint.os} / {some} barcas
        llegaron a tiempo
    | se llevó las aspas del molino / no hay harina para {course.bare} / cosieron {some} sábanas {tint.as} /
        el molino dio {some} vueltas
    | llenó el pozo de barro / solo hay zumo de {fruit} / sacaron {some} cubos de barro / salieron {some}
        cubos de agua clara
    | tiró el nido de las cigüeñas / {some} cigüeñas no tienen casa / tejieron otro con {some}
        [cañas|mimbres|sarmientos] / allí nacieron {some} cigüeñas
    | tumbó las tomateras / no habrá gazpacho en {month2} / ataron las tomateras a {some} cañas {tint.as} /
        hubo gazpacho para {some}
    | tiró un {tree} en el camino / el lechero no puede pasar / sacaron del tronco {some} taburetes
        {tint.os} / pasó el lechero con {some} cántaros
    | se llevó la campana / nadie sabe qué hora es / colgaron {some} [cazuelas|botellas|cucharas] en la
        torre / se oyeron hasta en {village2}
    | llenó de agua el horno / no hay {course.bare} / sacaron {some} cubos de agua / del horno salieron
        {some} panes
    | volcó las colmenas / hay {some} abejas enfadadas / construyeron {some} colmenas {tint.as} / las abejas
        llenaron {some} tarros

# Plot 4: a shy newcomer shows what he or she can do.

a_newcomer = {arrival} {shyness} ¶ {new_tip} ¶ {new_trouble} ¶ {new_speaks} ¶ {new_end}
arrival =
    {When} llegó de {village2} en [carro|barca|autobús|tren|globo|mula|trineo|bicicleta] {friend},
        {kin}{friend.o} {trade_of}.
    | {When}, {friend} se mudó de {village2} a una casa {spot}.
shyness =
    Solo hablaba con {a_beast} y se ponía [roj|colorad]{friend.o} como {red_thing}.
    | Se escondía detrás de {thing} y decía {some} palabras [al día|por semana|al mes].
    | Miraba [al suelo|a las nubes|al cielo|a los tejados] y [tarareaba|murmuraba|suspiraba] {sadly}.
red_thing = un tomate | una cereza | un pimiento | una fresa | una amapola | un rábano | una granada |
    un clavel | una sandía | un cangrejo
new_tip =
    {Hero} le ofreció {food}, pero {friend} huyó. ¶ —{Patience} —{said} {elder}, {elder.job}, {gently}. ¶ Y
        {hero} esperó a {some} pasos, con {food3}.
    | —{Patience} —{said} {elder}, {elder.job}, {idle}. ¶ {Hero} dejó {food3} en [la puerta|la ventana|el
        balcón|la reja] de {friend}, y recibió {thing2}.
patience = paciencia | poco a poco | no hay prisa | despacito y buena letra |
    hay puertas que se abren despacio | dale tiempo | cada flor tiene su hora
new_trouble =
    El {weekday2}, {talent.trouble}. Los {family} [daban vueltas|lloraban|rezaban|gritaban|huían].
    | El {weekday2}, {talent.trouble}. ¡{Oh}!
new_speaks =
    —Yo sé {talent} —{whispered} {friend} {shyly}, y {talent.deed}.
    | —Pues yo —{whispered} {friend} tras {thing3}— sé {talent}. ¶ Y {talent.deed}.
new_end =
    {Everyone} [aplaudió|bailó|silbó|cantó] {loudly}.
    | Ahora {friend} habla tanto que {elder} [lleva|se pone] {some} gorros {tint.os}.
skill (name / trouble / deed) as talent =
    trepar / la llave de [la escuela|la iglesia|la panadería] cayó al pozo / subió con la llave y con
        {a_beast}
    | silbar / {some} barcas se perdieron en la niebla / silbó hasta que asomaron {some} velas
    | ver en la oscuridad / {some} [corderos|patitos|cabritos] se perdieron en el monte / los encontró junto
        a {thing5}
    | nadar / {some} cestas de {course.bare} cayeron al río / salió con {course.the} y con {a_beast}
    | arreglar relojes / el reloj de la torre se paró a las {hour} / engrasó {some} ruedas con aceite de
        {herb}
    | contar cuentos / se fue la luz en los títeres / contó {some} cuentos de {beasts}
    | coser / se rasgó la carpa {tint.a} del circo / la cosió con {some} metros de hilo {tint.o}
    | hacer tartas / la tarta de la boda cayó sobre {a_beast} / preparó otra con {some} {flower} de azúcar
    | leer mapas / {some} niños se perdieron en la sierra / los encontró {some} leguas al
        [norte|sur|este|oeste]
    | tocar el acordeón / a la guitarra se le rompieron {some} cuerdas / tocó {some}
        [jotas|valses|pasodobles|polcas]
    | cavar / {some} rocas taparon [el horno|la escuela|la ermita] / abrió un túnel de {some} metros
    | hablar con las abejas / {some} abejas se posaron en el sombrero {elder.del} / las llevó hasta
        {flower.the}

# Plot 5: a contest in which a rival needs help.

a_contest = {notice} ¶ {contest_wish} ¶ {contest_rival} ¶ {contest_trouble} ¶ {contest_choice} ¶
    {contest_end}
notice =
    {When} apareció {spot} un cartel {tint.o}: «¡{Contest}! Primer premio: {prize}».
    | «¡{Contest}! ¡De premio, {prize}!», decía {when} un cartel {tint.o} {spot}.
prize = [una cuchara|una campana|una corona|una tetera] de [oro|plata|cristal|chocolate] |
    {some} [cestas|barriles|sacos] de {course.bare} |
    un [queso|jamón|botijo|sombrero] [gigante|de oro|musical] | un viaje en [globo|barco|tren|camello]
contest_wish =
    {Hero} {contest.made} durante {some} [días|tardes|noches], y se olvidó de {hobby}.
    | {Hero} {contest.made} hasta {until_late}, entre {food} y {food2}.
    | —Eso es para mí —{said} {hero} {gently}, y {contest.made}.
contest_rival =
    —También {friend} quiere [ganar|el premio] —{said} {elder}, {elder.job}, {idle}.
    | —[Cuidado|Ojo|Mucho ojo] con {friend}, {kin}{friend.o} {trade_of} —{said} {elder}, {elder.job},
        {gently}.
contest_trouble =
    El {weekday2} sonaron {some} [trompetas|campanas|cornetas|panderetas], pero {contest.mishap}.
    | Llegó el día, con {flower} y {food3} para todos, pero {contest.mishap}.
contest_choice =
    {Hero} contó hasta {some} y {contest.help}.
    | Nadie se movió, salvo {a_beast} y {hero}, que {contest.help}.
    | —¡{Oh}! —{sighed} {friend} {sadly}. ¶ Y {hero} {contest.help}.
contest_end =
    {Contest.result}, y {everyone} [aplaudió|bailó|silbó|cantó].
    | {Contest.result}, y el premio fue para los {family}, con {some} derrotas.
    | {Contest.result}, y se repartieron el premio con {a_beast}.
competition (name / made / mishap / help / result) as contest =
    concurso de cometas / pegó {some} cometas {tint.as} / a {friend} se le rompió el hilo / partió el suyo
        en dos / {some} {beasts} vieron bailar dos cometas
    | carrera de sacos / remendó {some} sacos {tint.os} / a {friend} se le rompió el saco / le hizo sitio en
        el suyo / llegaron en {some} saltos
    | concurso de tartas / batió {some} litros de crema de {fruit} / a {friend} se le apagó el horno / le
        prestó {some} brasas / salieron doradas dos tartas
    | concurso de sandías / regó {some} sandías con té de {herb} / la de {friend} echó a rodar / la paró con
        {garment.la} / todas tenían {some} abolladuras
    | concurso de espantapájaros / rellenó {some} pantalones {tint.os} / {some} cuervos robaron la paja de
        {friend} / le dio la suya / dos espantapájaros asustaron a {some} cuervos
    | concurso de castillos de arena / levantó {some} torres / {some} olas se llevaron el muro de {friend} /
        cavó un foso para dos / dos castillos aguantaron {some} olas
    | concurso de canto / ensayó {some} canciones / {friend} se quedó sin voz / cantó por dos / aquello sonó
        como {some} ruiseñores
    | regata de barreños / pintó un barreño con {some} rayas {tint.as} / al de {friend} le salieron {some}
        agujeros / los tapó con {garment.la} / dos barreños llegaron a las {hour}
    | concurso de paellas / peló {some} {vegetable} / a {friend} se le quemó el arroz / le llevó {herb} y
        {herb2} / dos paellas supieron a {herb}
    | concurso de balcones / cantó {some} coplas {flower.al} / {some} caracoles se comieron las macetas de
        {friend} / repartió {flower.the} / dos balcones florecieron
    | concurso de farolillos / recortó {some} estrellas {tint.as} / el viento apagó el de {friend} / le
        prestó su llama / {some} polillas bailaron alrededor

# Plot 6: something breaks, and it is hard to say so.

an_accident = {broken} ¶ {broken_hide} ¶ {broken_friend} ¶ {broken_tell} ¶ {broken_mend}
broken =
    {When}, {hero} jugaba [a escondidas|sin permiso|con {a_beast}] {game} en [la cocina|el taller|el
        desván|la sala] {elder.del}, {elder.job}. {Treasure.crash}.
    | —Aquí no se juega {game} —{said} {elder}, {elder.job}. ¶ Pero {when} {hero} jugó [igual|con
        {a_beast}]. {Treasure.crash}.
broken_hide =
    {Hero} lo [escondió|metió|barrió] todo detrás de {thing} y huyó. Ni {food} ni {food2} le supieron a
        nada.
    | —Ha sido {a_beast} —[ensayó|practicó|mintió] {hero} {gently}. ¶ Le [picaba|ardía|temblaba] [la
        nariz|la oreja|la lengua|la barbilla].
    | {Hero} huyó, no probó {food} y no durmió hasta {until_late}.
broken_friend =
    —Pareces {pale} —{said} {friend}, {idle}—. [Anda, dilo|Ve y dilo]. Se tarda {some} segundos.
    | {Friend}, que estaba {idle}, lo escuchó todo. ¶ —[Voy contigo|Te doy la mano|Cuento hasta {some}]
        —{said} {gently}.
broken_tell =
    —He sido yo —{whispered} {hero} {shyly}.
    | {Hero} tragó saliva {some} veces. ¶ —He sido yo —{whispered}.
    | —He sido yo —{whispered} {hero}—. Te doy mi {toy}.
broken_mend =
    {Elder} [sonrió|carraspeó|parpadeó|suspiró] {some} veces, y {treasure.mend}. ¿El recuerdo?
        {Treasure.sign}.
    | —Yo rompí {some} —{said} {elder} {gently}, y {treasure.mend}. ¿El recuerdo? {Treasure.sign}.
    | {Elder} sirvió {food3}, y {treasure.mend}. ¿El recuerdo? {Treasure.sign}.
heirloom (crash / mend / sign) as treasure =
    ¡Crac! El botijo {tint.o} se partió en {some} trozos / lo pegaron con resina de {herb} / {some} rayas,
        como los ríos de un mapa
    | ¡Clin! La ventana quedó con {some} agujeros / pusieron cristales {tint.os} / una luz {tint.a} en el
        suelo
    | ¡Pum! El reloj de cuco se paró a las {hour} / apretaron {some} tornillos / un cuco que canta {some}
        veces
    | ¡Tlan! La guitarra perdió {some} cuerdas / le pusieron cuerdas {tint.as} / un arañazo con forma de
        {beast.bare}
    | ¡Cras! El espejo se rompió en {some} pedazos / los juntaron en un marco {tint.o} / {some} lunas cada
        noche
    | ¡Zas! La mecedora perdió una pata / tallaron otra de {tree} / una pata que huele a {tree}
    | ¡Plaf! El jarrón con {flower} se cayó / rellenaron {some} grietas con oro / venas de oro y {some}
        abolladuras
    | ¡Bum! El globo terráqueo rodó {some} escalones / pintaron {some} mares nuevos / una isla que se llama
        {hero}
    | ¡Crec! Las gafas {tint.as} quedaron planas / doblaron {some} alambres / un cristal redondo y otro
        {tint.o}
    | ¡Ras! La cortina {tint.a} se vino abajo / la cosieron con hilo {tint.o} / una costura con forma de
        {beast.bare}
    | ¡Chof! La mermelada de {fruit} cayó sobre un libro / lavaron {some} páginas / páginas que huelen a
        {fruit} y a {herb}

# Plot 7: somebody cannot sleep because of a noise.

a_sleepless_night = {awake} {guess} ¶ {dare} ¶ {meet} ¶ {calm} {sleep_end}
awake =
    {Night}, {hero} no [podía dormir|pegaba ojo]. {Noise}, sonaba [en el tejado|en la oscuridad|bajo el
        suelo|afuera|tras la pared].
    | {Night}, {hero} despertó de un sueño con {some} {beasts}. {Noise}, sonaba.
night = una noche {weather.a} de {month} | a las {hour} de una noche {weather.a} |
    la noche del {date} de {month}
guess =
    ¿Sería {monster} {menace}? ¿O {monster2} {menace2}?
    | Pensó en {monster} {menace} y se tapó con la manta {tint.a} hasta [la nariz|las cejas|las orejas|la
        coronilla].
    | Contó {some} [ovejas|estrellas|{vegetable}|cigüeñas], pero pensaba en {monster} {menace}.
fiend as monster, monster2 = un dragón | una bruja | un ogro | un pirata | un fantasma | un lobo |
    un bandolero | un trasgo | un esqueleto | una momia | un vampiro | un cocodrilo | un gigante | un duende |
    una serpiente
trait as menace, menace2 = con catarro | con {some} [cabezas|dientes|narices|patas] | con zancos |
    con zuecos | en bicicleta | con {garment2.new} | en busca de {food4} | loco por {course.the} |
    con {thing3}
dare =
    [Cogió|Agarró] {thing} y salió [de puntillas|sin ruido|descalz{hero.o}|con {pet_name}].
    | Se puso {garment.la}, cogió {thing} y salió [de puntillas|sin ruido|descalz{hero.o}|con {pet_name}].
meet =
    {Spot} temblaba {friend}, con {thing2} por [espada|escudo|arma|casco|lanza]. ¡{Noise.truth}!
    | {Spot} chocó con {friend}. ¶ —¿Eres {monster}? —{whispered} {friend} {shyly}. ¶ —Todavía no. ¡Mira! ¶
        {Noise.truth}.
calm =
    Se rieron, despertaron a {some} [patos|gallos|burros|gansos|vecinos] y {noise.cure}.
    | —¡{Oh}! —{cried} {friend} {loudly}, y {noise.cure}.
sleep_end =
    Quedó todo tan [quieto|callado] que se oía crecer {flower.al} y [roncar|cantar|reír] {elder.al},
        {elder.job}.
    | {Elder}, {elder.job}, les llevó {food2}, y a las {hour} roncaba hasta {pet_name}.
    | {Friend} se quedó a [cenar|desayunar] {food2} y {food3} con {elder}, {elder.job}.
night_noise (sound / truth / cure) as noise =
    toc, toc, toc / era una contraventana {tint.a} / la ataron con {some} cintas {tint.as}
    | uh, uh, uh / era un mochuelo perdido / lo llevaron a un {tree}, a {some} pasos
    | ñic, ñic, ñic / era una veleta oxidada / le echaron {some} gotas de aceite de {herb}
    | plic, plic, plic / era una gotera sobre {thing3} / la taparon con {course.bare}
    | ras, ras, ras / era {a_beast} con los pies fríos / le hicieron una cama en [un zapato {tint.o}|una
        taza {tint.a}|un guante {tint.o}]
    | tolón, tolón, tolón / era una cabra que comía {flower} / la llevaron a casa con {some} {vegetable}
    | snif, snif, snif / era un cachorro asustado por {thing3} / le dieron {course.bare} y {some} besos
    | bzz, bzz, bzz / eran {some} abejas en un farol {tint.o} / las soltaron entre {flower.the}
    | rum, rum, rum / era un barril {tint.o} que rodaba / lo llenaron con {some} piedras
    | clic, clac, clic / eran los {family}, que tejían por no estar solos / les pidieron {some} cuentos
    | pom, pom, pom / eran {vegetable} que caían de un carro / recogieron {some} en {garment.la}

# Plot 8: a secret is found, and is better when shared.

a_secret = {found} ¶ {secret_ask} ¶ {secret_go} ¶ {Find.opens}. {secret_inside} ¶ {secret_share}
found =
    {When}, {place}, {hero} encontró {find} {place.near}, entre {thing} y {thing2}.
    | {When}, {place}, {pet_name} {pet.cry} {some} veces. {Place.near}, junto a {thing}, {hero} [vio|halló]
        {find}.
secret_ask =
    —¿Te has tragado {thing3}? —{asked} {friend} {gently}. ¶ Y [buscaron|visitaron|despertaron|llamaron]
        {elder.al}, {elder.job}, que estaba {idle}.
    | {Friend}, que estaba {idle}, [se frotó los ojos|dio un brinco|se rascó la cabeza]. ¶ —Hay que
        [preguntar|decírselo] {elder.al}, {elder.job} —{said} {gently}.
secret_go =
    —Llevo {some} años esperándolo —{said} {elder} {gently}, y [fue|corrió|cojeó|bailó] hacia {landmark}.
    | Con {food2} y {food3}, {elder} [fue|corrió|cojeó|bailó] hacia {landmark}.
secret_inside = [Dentro|Detrás|Allí] había {hoard}. | ¿Y dentro? ¡{Hoard}!
hoard = [un tiovivo|un teatro de títeres|un piano|un trineo|un tren] {tint.o} con {some}
    [campanillas|caballos|faroles|estrellas|ruedas] | {some}
    [cometas|linternas|máscaras|panderetas|marionetas] {tint.as} | {some} tarros de mermelada de {fruit} |
    un jardín de {flower} | {some} [cuentos|romances|libros|tebeos] de {beasts}
secret_share =
    —Es como {course.the} —{said} {hero} {gently}—: mejor en compañía.
    | El {weekday3} [vinieron|acudieron] {some} [vecinos|niños|primos|curiosos], con {food4}.
    | —Lo [escondí|dejé|guardé] yo —{said} {elder} {gently}— con {few} años.
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

a_rescue = {cry} ¶ {rescue_try} ¶ {rescue_friend} ¶ {rescue_tool} ¶ {rescue_out} ¶ {rescue_end}
cry =
    {When}, camino de {village2}, {hero} [oyó|escuchó] un [grito|llanto|quejido]: «¡{Help}!». Era {small},
        [atrapado|atascado|preso] {trap}.
    | «¡{Help}!», [gritó|lloró|gimió] alguien {when}, camino de {village2}. Era {small},
        [atrapado|atascado|preso] {trap}.
help = socorro | auxilio | ayuda | mamá | que alguien me saque | sacadme de aquí
small = [un patito|un cordero|un cabrito|un gatito|un pollito|un potro|un ternero|un lechón|un cervatillo|un
    conejito] {mood.o} llamado {baby}
rescue_try =
    {Hero} {trap.try}. Nada.
    | —¡[Tranquilo|No temas|Ánimo]! —{said} {hero} {gently}, y {trap.try}. Nada.
rescue_friend =
    [Llegó|Pasó|Apareció] {friend} con {thing} y {thing2}. ¶ —[Hace falta|Necesitamos] {trap.tool} —{said}
        {gently}.
    | {Friend} estaba {idle} [cerca|a la vuelta]. ¶ —¡[Hace falta|Necesitamos] {trap.tool}! —{cried} {hero}
        {loudly}.
rescue_tool =
    {Elder}, {elder.job}, tenía justo eso en [casa|el taller|el corral|la bodega|el desván|el granero|la
        cuadra].
    | —Para el {weekday2} lo quiero de vuelta —{said} {elder}, {elder.job}, {gently}.
    | {Elder}, {elder.job}, que estaba {idle}, se lo dio [enseguida|por {food}].
rescue_out =
    Contaron hasta {some} y {trap.out}.
    | {Friend} habló a {baby} de {monster} {menace}, y {trap.out}.
rescue_end =
    —Gracias —{said} {baby} {gently}, y les regaló {thing3}.
    | La madre de {baby} les [dio|sirvió|ofreció] {food2} y {food3}.
    | {Some} años después, {hero} acabó {trap}. ¿Y quién acudió? {Baby}, con {food2}.
predicament (where / try / tool / out) as trap =
    en lo alto de un {tree} / sacudió {some} ramas / una manta {tint.a} / tendieron la manta
    | en el barro de una charca / perdió {some} botones {tint.os} / un tablón de {some} palmos / caminaron
        por el tablón
    | en una verja / tiró {some} veces / un jabón {tint.o} / enjabonaron {some} barrotes
    | en un pozo / echó {garment.la} / un cubo {tint.o} / subieron el cubo
    | en una zarza / se hizo {some} arañazos / un guante {tint.o} / apartaron {some} espinas
    | en una isla del río / se metió hasta [la nariz|las orejas|el ombligo] / un barreño {tint.o} / remaron
        con {some} cucharas
    | en una tinaja / la volcó {some} veces / un cántaro {tint.o} / echaron {some} cántaros de agua
    | en el tejado {house.del} / apiló {some} cajas / un palo de {some} metros / treparon
    | en una red de pesca / se enredó {some} veces / un cuchillo {tint.o} / cortaron {some} nudos
    | debajo de un {tree} caído / empujó {some} veces / un palo de {some} palmos / levantaron el tronco

# Plot 10: a letter to the Three Kings flies away, and somebody lonely reads it.

a_letter = {letter} {letter_flies} ¶ {letter_found} ¶ {letter_gift} ¶ {letter_end}
letter =
    El {date} de diciembre, {hero} escribió a los Reyes Magos: quería {toy.una}, {food} y {some}
        [besos|cuentos|primos|petardos].
    | «Queridos Reyes: quiero {toy.una}, {food} y {some} [besos|cuentos|primos|petardos]», escribió {hero}
        el {date} de diciembre.
letter_flies =
    Pero el viento se llevó la carta, y {pet_name} solo [encontró|halló|trajo] {thing} y {thing5}.
    | Pero el viento se llevó la carta {place}, y {pet_name} solo [encontró|halló|trajo] {thing}.
letter_found =
    La carta [cayó|aterrizó] en [la sopa|el balcón|el sombrero|la cesta|el gallinero] {elder.del},
        {elder.job}, que llevaba {some} años sin cartas.
    | {Elder}, {elder.job}, la encontró entre {thing2} y {thing3}. Llevaba {some} años sin cartas.
letter_gift =
    El día de Reyes apareció {toy.una} con {some} [lazos|cascabeles|botones] {tint.os}. ¶ —¡Es cosa
        {elder.del}! —{cried} {friend} {loudly}.
    | El día de Reyes apareció {toy.una}. ¶ —¡Huele a {herb} y a {herb2}, como {elder}! —{cried} {friend}
        {loudly}.
letter_end =
    Y {elder} recibió {some} [cartas|visitas], {flower} y {food3}.
    | Y {hero} escribe {elder.al} cada {day}, y llegan {food3} y {food4}.

# The people, places and things that are cast.

animal (name / cry) as pet = gato {mood.o} / maulló | perro {mood.o} / ladró | burra {mood.a} / rebuznó |
    cabra {mood.a} / baló | oca {mood.a} / graznó | loro {mood.o} / silbó | gallina {mood.a} / cacareó |
    grillo {mood.o} / cantó | conejo {mood.o} / brincó | paloma {mood.a} / arrulló | oveja {mood.a} / saltó |
    ratón {mood.o} / chilló | mula {mood.a} / relinchó | urraca {mood.a} / voló | tortuga {mood.a} /
    parpadeó | pato {mood.o} / aleteó | hurón {mood.o} / olfateó | gallo {mood.o} / cantó | rana {mood.a} /
    croó | erizo {mood.o} / estornudó | cigüeña {mood.a} / crotoró | ardilla {mood.a} / brincó
animal_name as pet_name = Garbanzo | Pimienta | Chispa | Trasto | Churro | Lenteja | Tizón | Pelusa |
    Mendrugo | Bolita | Duende | Migas | Canela | Nube | Rabanito | Trueno | Perejil | Sultán | Caramelo |
    Pulga | Bandido | Mochuelo | Estrella | Botines | Mazapán | Tambor | Farolillo | Nerón | Lunares |
    Remiendo | Chocolate | Cascarón | Relámpago | Nevada | Ajito | Tulipán | Princesa | Tormenta | Fideo |
    Capitán | Gazpacho | Botón | Chicharra | Turrón | Colorete | Percebe | Romeo | Salero | Tiznado | Zumbón |
    Ovillo | Jazmín
baby_name as baby = Pío | Copito | Saltarín | Tapón | Bombón | Motas | Remolino | Guisante | Calcetín |
    Alfiler | Bellota | Lucero | Pompón | Cascabel | Membrillo | Suspiro
position as spot = junto {landmark.al} | detrás {landmark.del} | cerca {landmark.del} |
    enfrente {landmark.del} | al lado {landmark.del} | frente {landmark.al}
spot_to_search (en / near / far / deep) as place =
    en el olivar / {near} del [muro|cobertizo|olivo] / entre los [cestos|capazos|sacos] / en [una tinaja|la
        acequia]
    | en la playa / {near} del [espigón|bote|chiringuito] / entre las [conchas|dunas|algas] / en [una
        cueva|un charco]
    | en la plaza / {near} del [templete|ayuntamiento|banco] / entre las [palomas|mesas|sillas] / en [un
        cubo|una maceta]
    | en el mercado / {near} del [puesto|mostrador|pregonero] / entre los [melones|botijos|quesos] / en [la
        balanza|un barril]
    | en el puerto / {near} del [muelle|velero|timón] / entre las [redes|cuerdas|anclas] / en [una barca|una
        nasa]
    | en la era / {near} del [trillo|almiar|carro] / entre las [gavillas|horcas|amapolas] / en [un saco|un
        cesto]
    | en el lavadero / {near} del [caño|pilón|tendedero] / entre las [sábanas|pinzas|toallas] / en [un
        balde|una cesta]
    | en la estación / {near} del [andén|vagón|banco] / entre las [maletas|vías|cajas] / en [una
        sombrerera|un baúl]
    | en el palomar / {near} del [ventanuco|nido|comedero] / entre las [plumas|vigas|tejas] / en [un saco|un
        agujero]
    | en el castillo / {near} del [foso|trono|aljibe] / entre las [almenas|armaduras|banderas] / en [la
        mazmorra|un cañón]
    | en el parque / {near} del [estanque|columpio|tobogán] / entre los [rosales|bancos|setos] / en [una
        papelera|la arena]
    | en la huerta / {near} del [pozo|espantapájaros|invernadero] / entre las [lechugas|calabazas|coles] /
        en [una maceta|la alberca]
    | en el viñedo / {near} del [lagar|chozo|carro] / entre las [cepas|parras|cestas] / en [una cuba|un
        hoyo]
    | en la escuela / {near} del [esqueleto|piano|armario] / entre los [pupitres|mapas|tinteros] / en [un
        baúl|un cajón]
    | en el pinar / {near} del [tronco|refugio|arroyo] / entre las [piñas|agujas|setas] / en [una
        madriguera|un nido]
    | en el museo / {near} del [mamut|faraón|tapiz] / entre las [espadas|vasijas|coronas] / en [un
        sarcófago|un jarrón]
near = debajo | detrás | al lado | cerca | enfrente | delante

women as woman = Remedios | Paca | Tomasa | Encarna | Dolores | Engracia | Ramona | Casilda | Petra |
    Brígida | Hortensia | Consuelo | Asunción | Virtudes | Eulalia | Jacoba | Leocadia | Micaela | Nicanora |
    Obdulia | Prudencia | Quiteria | Rufina | Saturnina | Úrsula | Venancia | Felisa | Gertrudis | Benigna |
    Cleofé | Isidra | Basilisa | Trinidad | Flora | Hilaria | Patrocinio | Amalia | Visitación | Fermina |
    Dorotea | Macaria | Genoveva | Leandra | Teófila | Nieves | Bernarda | Ceferina | Domitila | Eufemia |
    Gregoria | Justa | Modesta | Palmira | Rosenda | Serafina | Tadea | Vicenta
men as man = Anselmo | Blas | Cosme | Lucas | Eusebio | Fulgencio | Gumersindo | Hilario | Isidoro |
    Jerónimo | Leoncio | Melitón | Nicasio | Onofre | Policarpo | Quintín | Ruperto | Saturio | Teodoro |
    Ubaldo | Valentín | Wenceslao | Zacarías | Agapito | Baldomero | Casimiro | Demetrio | Evaristo |
    Froilán | Genaro | Abundio | Ceferino | Eleuterio | Práxedes | Tiburcio | Bonifacio | Canuto | Epifanio |
    Macario | Pascual | Rosendo | Serafín | Toribio | Venancio | Zoilo | Bartolomé | Crispín | Donato |
    Elpidio | Faustino | Gregorio | Honorio | Justo | Liborio | Modesto | Nemesio | Severino
surname as family = Robles | Quesada | Olmedo | Castaño | Pedrosa | Zurita | Lobato | Mantecón | Peral |
    Cebrián | Moncayo | Gallardo | Tejero | Berrocal | Cantero | Doblado | Escudero | Fajardo | Guijarro |
    Herrera | Izquierdo | Jurado | Lozano | Matute | Nogales | Ordóñez | Palomo | Redondo | Salinas |
    Tortosa | Urrutia | Vallejo | Zapata | Alegre | Bermejo | Cordero | Delgado | Espino | Aguado | Barroso |
    Calvo | Dorado | Fuentes | Galindo | Marín | Olivares | Pastor | Rivas | Segura | Trigo | Arroyo |
    Bravo | Carrasco | Domingo | Encinas | Ferrer | Garrido | Hurtado | Laguna | Montes | Navarro | Prieto
head_of_town as town_head, town_head2 = Aldea | Fuente | Peña | Torre | Villa | Puebla | Casas | Arroyo |
    Monte | Puerto | Valle | Cerro | Campo | Huerta | Dehesa | Rincón | Cuesta | Barranco | Posada | Venta
tail_of_town as town_tail, town_tail2 = del Olivo | del Viento | de la Luna | del Almendro | de los Grillos |
    de las Cigüeñas | del Molino | de la Sal | del Romero | de las Nieves | del Lobo | de la Miel |
    de los Gatos | del Trueno | de la Reina | del Cuco | de las Abejas | del Pan | de la Niebla | del Sauce |
    de los Cuentos | de la Siesta | del Mirlo | de las Uvas | del Gallo | de las Moras | del Tomillo |
    de la Seda | del Búho | de las Ranas | de la Cometa | del Queso | de los Relojes | de la Nuez | del Ajo |
    del Farol | de las Liebres | de la Lluvia | del Erizo | de las Campanas | del Gigante | de los Botijos |
    de la Nube | del Grillo | de la Higuera | del Trigo | de las Palomas | del Sol | de la Aguja |
    de las Cabras | del Eco | de los Duendes | de la Fresa | del Ratón
temper = curios{hero.o} | alegre | tímid{hero.o} | valiente | tranquil{hero.o} | risueñ{hero.o} |
    despistad{hero.o} | paciente | list{hero.o} | cabezota | inquiet{hero.o} | cariños{hero.o} | optimista |
    travies{hero.o} | educad{hero.o} | pequeñ{hero.o} | presumid{hero.o} | amable | fantasios{hero.o} |
    ordenad{hero.o} | golos{hero.o}
fabric as cloth = de lana | de pana | de algodón | de fieltro | de terciopelo | de lino | de seda |
    de retales | de cuero | de franela | de ganchillo | de lona | de tweed | de rizo | de punto | de encaje |
    de felpa | de arpillera
hobby = {doing} {treasured}
hobbying = {doing.gerund} {treasured}
pastime (name / gerund) as doing = pintar / pintando | coleccionar / coleccionando | contar / contando |
    dibujar / dibujando | ordenar / ordenando | esconder / escondiendo | limpiar / limpiando | regalar /
    regalando | bautizar / bautizando | amontonar / amontonando | remendar / remendando | cambiar /
    cambiando | pesar / pesando | admirar / admirando | vender / vendiendo | apilar / apilando | adornar /
    adornando | lustrar / lustrando | probar / probando | perder / perdiendo | numerar / numerando | buscar /
    buscando
treasures as treasured = piedras | botones | caracolas | plumas | canicas | llaves | campanillas | mapas |
    hojas secas | cucharas | tapones | sellos | castañas | sombreros | cometas | cromos | farolillos |
    relojes | tambores | zuecos | piñas | cojines | botijos | abanicos | sonajeros | sandías | monedas |
    velas | peonzas | bellotas | flautas | teteras | dedales | abrigos | bufandas | espejos | postales |
    escobas | barquitos | jarrones | linternas | calabazas | herraduras | hilos | disfraces | macetas |
    manteles
a_beast = {beast}
beasts = {beast.many}
wood as tree = olivo | almendro | roble | nogal | pino | castaño | olmo | chopo | cerezo | granado |
    limonero | algarrobo | sauce | manzano
herbs as herb, herb2 = tomillo | romero | menta | salvia | eneldo | manzanilla | lavanda | hierbabuena |
    orégano | laurel | albahaca | tila | anís
fruits as fruit = cereza | fresa | mora | ciruela | granada | naranja | limón | higo | membrillo | frambuesa |
    arándano | melocotón | pera
vegetable = patatas | cebollas | naranjas | zanahorias | habas | ajos | pimientos | limones | nueces |
    castañas | calabacines | berenjenas | manzanas | rábanos | pepinos
few = cuatro | cinco | seis | siete | ocho | nueve | diez
some = dos | tres | cuatro | cinco | seis | siete | ocho | nueve | diez | once | doce | trece | catorce |
    quince | dieciséis | diecisiete | dieciocho | diecinueve | veinte | veintidós | treinta | cuarenta |
    cincuenta | cien | mil
date = dos | tres | cuatro | cinco | seis | siete | ocho | nueve | diez | once | doce | trece | catorce |
    quince | dieciséis | diecisiete | dieciocho | diecinueve | veinte | veintiuno | veintidós | veintitrés |
    veinticuatro | veinticinco
hour = [dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce] [y media|y cuarto|y diez|menos
    cuarto|menos veinte|en punto]
until_late = las {hour} | medianoche | el canto del [gallo|búho|cuco|mirlo]
day (name / los) as weekday, weekday2, weekday3 = lunes / lunes | martes / martes | miércoles / miércoles |
    jueves / jueves | viernes / viernes | sábado / sábados | domingo / domingos
month_of_year as month, month2 = enero | febrero | marzo | abril | mayo | junio | julio | agosto |
    septiembre | octubre | noviembre | diciembre
when = una [mañana|tarde|noche] {weather.a} | el {date} de {month} |
    a las {hour} de un {weekday} {weather.o} | un {weekday} {weather.o} | [al amanecer|al atardecer|a media
    tarde|después de la siesta] de un {weekday} {weather.o}
sport as game = a la rayuela | al escondite | a las canicas | al pilla-pilla | a la gallina ciega |
    a los piratas | a los bolos | a la comba | al trompo | a las cartas | al parchís | a la pídola |
    al corro | a las tabas | al balón

# How things are said.

idle = [pelando|lavando|cortando|contando|vendiendo|asando] {vegetable} |
    [remendando|doblando|tendiendo|planchando|perdiendo]
    [redes|calcetines|sábanas|manteles|cortinas|pañuelos|velas] | dando de comer a {some}
    [patos|gallinas|gorriones|ocas|burros] | comiendo {food4} |
    barriendo [hojas|migas|el patio|la acera|plumas] | [leyendo|escribiendo] un libro de {beasts} |
    sacando brillo a {thing4} | regando {flower} | bailando con {a_beast} | buscando {thing4}
gently = con [calma|dulzura|orgullo|cariño|misterio|paciencia|mucha dignidad|picardía|la boca llena|una
    sonrisa|un guiño|un bostezo|una reverencia] | sin [prisa|dudarlo|pestañear|levantar la voz] |
    de [buen humor|buena gana|carrerilla] | entre [risas|bostezos|dientes] | en voz baja | a media voz |
    por fin | guiñando un ojo | sonriendo | rascándose [la cabeza|la barbilla|una oreja] |
    encogiéndose de hombros | poco después | con
    [retranca|asombro|modestia|elegancia|prudencia|sueño|convicción] | sin [rodeos|mirar atrás] |
    de [repente|memoria] | tras [pensarlo|toser] | medio en broma
sadly = con [un suspiro|un hilo de voz|tristeza|amargura|un puchero|los ojos llenos de agua] |
    entre [hipidos|lágrimas|dientes] | mirando [al techo|al suelo|a {pet_name}] | sin consuelo |
    por {ordinal} vez | en voz baja
ordinal = primera | segunda | tercera | cuarta | quinta | sexta | séptima | octava | novena | décima
shyly = en un susurro | con [timidez|miedo|la voz temblorosa|valor|los ojos muy abiertos|un hilo de voz] |
    casi sin voz | al fin | de un tirón | de pronto | mirándose los [pies|zapatos|dedos] |
    mordiéndose [el labio|una uña]
loudly = de pronto | a pleno pulmón | {some} veces | con [asombro|alegría|los brazos en alto|un brinco|una
    carcajada] | sin aliento | dando [saltos|palmas|vueltas|brincos] | al momento
oh = ay, madre | anda | caramba | recórcholis | madre mía | cielos | vaya [faena|lío|chasco|susto] |
    rayos y truenos | por todos los [santos|duendes|botones|grillos] | ahí va | jolín | no puede ser |
    {course.bare} y {vegetable}
said = 3: dijo | comentó | declaró | murmuró | aseguró | explicó
asked = preguntó | quiso saber
cried = exclamó | gritó | soltó
whispered = susurró | musitó | balbuceó | dijo
sighed = suspiró | gimió | sollozó | se lamentó
"""


def profession(elder: str) -> str:
    """Whoever is called a woman or a man has a trade in the same gender."""
    return "la {job.ella}" if "{woman}" in elder else "el {job.el}"


GENDERS = (str, feminine)
AGREEMENT = (str, feminine, plural, feminine_plural)
CASES = (str, after_a, after_de)

WORDS = {
    "child (name / o) as hero, friend": " | ".join(
        [table(GIRLS, str, lambda _: "a"), table(BOYS, str, lambda _: "o")]
    ),
    "tint (o / a / os / as) as colour": table(
        """rojo, verde, azul, amarillo, morado, blanco, negro, gris, naranja, violeta, turquesa, dorado,
        plateado, celeste, granate, a rayas, a cuadros, de lunares, rosado, pardo, escarlata, fucsia,
        cobrizo, transparente, color miel, añil, color vino, brillante, negruzco, verdoso, anaranjado""",
        *AGREEMENT,
    ),
    "flavour (o / a / os / as)": table(
        """caliente, frío, casero, quemado, dulce, salado, crujiente, con miel, con canela, de ayer,
        con azúcar, ahumado, picante, dorado, templado, sin sal, con limón, de monte, tierno, con ajo,
        congelado, agridulce, amargo, sin azúcar, con perejil, con nueces, con pasas, en adobo, ligero,
        a la brasa, con aceite, con tomate""",
        *AGREEMENT,
    ),
    "worn (o / a)": table(
        """oxidado, pegajoso, polvoriento, diminuto, abollado, olvidado, mojado, torcido, misterioso, enorme,
        brillante, solitario, mordido, pintado, encantado, peludo, gastado, perdido, triste, arrugado,
        embrujado, congelado, roñoso, famoso, apolillado, dorado, helado, invisible, mágico, cojo,
        reluciente, tuerto, empapado, descolorido, valiosísimo, asustado, chamuscado, ruidoso, hueco,
        afilado, blando, rayado, musical, prestado, heredado, peligroso""",
        *GENDERS,
    ),
    "mood (o / a)": table(
        """gordo, dormido, diminuto, sorprendido, enfadado, orgulloso, tímido, hambriento, educado, nervioso,
        contento, pecoso, perdido, silencioso, pálido, viejísimo, elegante, solemne, miope, coqueto,
        gruñón, bailarín, acatarrado, vanidoso, distraído, melancólico, presumido, cojo, verde, friolero,
        goloso, filósofo, risueño, sonámbulo, aplicado, glotón, enamorado, despeinado, sabio, patoso,
        rubio, mareado, intrépido""",
        *GENDERS,
    ),
    "weather (o / a)": table(
        """lluvioso, ventoso, soleado, nublado, gris, frío, caluroso, brumoso, tranquilo, luminoso, helado,
        templado, perezoso, dorado, húmedo, despejado, alegre, ruidoso, extraño, festivo, polvoriento,
        fresco, tormentoso, azul""",
        *GENDERS,
    ),
    "trade (el / ella) as job": table(
        """panadero, herrero, pastor, relojero, zapatero, molinero, pescador, farero, alfarero, carpintero,
        jardinero, librero, boticario, campanero, titiritero, churrero, maestro, cestero, quesero,
        apicultor, barquero, tejedor, pintor, afilador, barbero, hortelano, confitero, calderero,
        sombrerero, acordeonista, domador, bombero, vinatero, fotógrafo, cantero, ventero, cerrajero,
        bodeguero, vaquero, pregonero, astrónomo, tonelero""",
        *GENDERS,
    ),
    "elder_of_town (name / al / del / job) as elder": table(
        """doña {woman}, la tía {woman}, la abuela {woman}, la señora {woman}, la prima {woman},
        la madrina {woman}, la comadre {woman}, don {man}, el tío {man}, el abuelo {man}, el señor {man},
        el primo {man}, el padrino {man}, el compadre {man}""",
        *CASES,
        profession,
    ),
    "thing_found as thing, thing2, thing3, thing4, thing5": table(
        """una llave, una cuchara, una bota, una botella, un peine, un botón, un anzuelo, una taza,
        una cinta, un dedal, un clavo, una piña, un corcho, un cubo, una sartén, una herradura, un guante,
        una moneda, una pluma, una concha, un candil, un lápiz, una rueda, un calcetín, una nuez,
        un rodillo, un colador, un trombón, una escoba, un abanico, una tetera, un cencerro,
        una castañuela, un paraguas, un tenedor, una lupa, un embudo, una jaula, un sello, una peonza,
        un timbre, un dado, una maceta, un violín, una regadera, un felpudo, una percha, un jabón,
        una brocha, un sonajero""",
        described("worn"),
    ),
    "beast (un / bare / many)": table(
        """un grillo, una mariquita, un caracol, un escarabajo, una oruga, una araña, una polilla,
        un abejorro, un sapo, una lagartija, una luciérnaga, una hormiga, una libélula, una salamandra,
        un mosquito, un gusano, una avispa, una cigarra, un renacuajo, un cangrejo, una culebra,
        un lagarto, una rana, un pulgón, un tritón""",
        described("mood"),
        bare,
        many("tint"),
    ),
    "clothing (una / la / new) as garment, garment2": table(
        """una bufanda, un gorro, un chaleco, una boina, una capa, una chaqueta, un jersey, un sombrero,
        un pañuelo, un poncho, un abrigo, una camisa, una bata, un mandil, una corbata, un turbante,
        una toquilla, un gabán""",
        described("colour"),
        definite,
        described("tint"),
    ),
    "meal (full / bare / the) as food, food2, food3, food4, food5, food6, course": table(
        """el pan, las croquetas, la tortilla, los churros, las lentejas, los buñuelos, la leche frita,
        el gazpacho, las empanadillas, las rosquillas, el membrillo, el queso, las castañas, el turrón,
        las natillas, las torrijas, la sopa, los garbanzos, las magdalenas, el chocolate, las almendras,
        la empanada, el pisto, los fideos, las aceitunas, el mazapán, las albóndigas, los pestiños,
        los dátiles, las patatas, el flan, el puchero, el bizcocho, las migas, los roscos, el caldo,
        el requesón, las uvas, las setas, los polvorones, el arroz, los boniatos, la calabaza,
        la ensalada, los huevos, las judías, los pasteles, las nueces, los bollos""",
        described("flavour", bare),
        bare,
        str,
    ),
    "blossom (bare / the / al) as flower": table(
        """los claveles, las rosas, las amapolas, las margaritas, los geranios, las violetas, los lirios,
        los tulipanes, los jazmines, las azucenas, los girasoles, las dalias, las hortensias,
        las petunias, los narcisos, las camelias, los nardos, los pensamientos, las begonias, los alhelíes""",
        bare,
        str,
        after_a,
    ),
    "mark (el / al / del) as landmark": table(
        """la fuente, el pozo, el puente, la torre, el olmo, la estatua, el abrevadero, la ermita, el reloj,
        la palmera, el quiosco, la higuera, el horno, el pajar, la muralla, el buzón, la farola,
        el gallinero, el roble, la veleta, el lavadero, la cruz, el arco, la escalinata""",
        *CASES,
    ),
    "building (al / del) as house": table(
        """el molino, la iglesia, la escuela, el faro, el teatro, la posada, el mercado, la herrería,
        el ayuntamiento, la estación, el castillo, la biblioteca""",
        after_a,
        after_de,
    ),
}

GRAMMAR = Grammar(NOTATION + "".join(f"{name} = {options}\n" for name, options in WORDS.items()))
