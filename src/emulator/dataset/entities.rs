//! Sentences about people, places, organisations and dates, each of these marked.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::{Dataset, Row, RowData, Rows, chance::Chance, object, tool};

const SENTENCES: usize = 300;

/// What may be marked, by the letter that stands for it in a pattern.
const KINDS: [(char, &str, &[&str]); 4] = [
    ('P', "person", &PEOPLE),
    ('L', "place", &PLACES),
    ('O', "organisation", &ORGANISATIONS),
    ('D', "date", &DATES),
];

/// Not all names are of one byte a letter, since not all of the world's are.
const PEOPLE: [&str; 20] = [
    "Anna Berger",
    "José Álvarez",
    "Zoë Lindqvist",
    "Mehmet Yıldız",
    "Łucja Nowak",
    "Tom Okafor",
    "Mei Tanaka",
    "Bjørn Dahl",
    "Priya Raman",
    "Noor Haddad",
    "Ivan Petrov",
    "Clara O'Neill",
    "Hugo Lefèvre",
    "Amina Diallo",
    "Štěpán Král",
    "Ruth Abrams",
    "Kenji Mori",
    "Elena Popescu",
    "Samuel Mwangi",
    "Grace Whitfield",
];

const PLACES: [&str; 16] = [
    "Lisbon",
    "São Paulo",
    "Gdańsk",
    "Zürich",
    "New Hebden",
    "Reykjavík",
    "Nairobi",
    "Osaka",
    "Malmö",
    "Port Ellery",
    "Kraków",
    "Hyderabad",
    "Querétaro",
    "Cork",
    "Tromsø",
    "Lake Arden",
];

const ORGANISATIONS: [&str; 14] = [
    "Norwind Energy",
    "Kestrel Robotics",
    "the Harbour Trust",
    "Bluefield Clinic",
    "Ostrava Steel",
    "Fenwick & Sons",
    "the Institute of Tides",
    "Solène Motors",
    "Paperlark Press",
    "Grupo Ámbar",
    "Tallow Bank",
    "Meridian Rail",
    "the Copper Guild",
    "Quillon Labs",
];

const DATES: [&str; 12] = [
    "3 March 2019",
    "last Tuesday",
    "in 1987",
    "12 May",
    "in the spring of 2004",
    "on New Year's Eve",
    "2 October 2021",
    "yesterday",
    "in August",
    "on 30 June",
    "at the end of 1999",
    "this morning",
];

const PATTERNS: [&str; 24] = [
    "{P} moved to {L} to work for {O}.",
    "{O} opened an office in {L} {D}.",
    "{D}, {P} was seen in {L}.",
    "{P} and {P} founded {O} in {L}.",
    "Nobody at {O} had heard of {P}.",
    "The train from {L} to {L} is run by {O}.",
    "{P} left {O} {D} and has not been back.",
    "It rained in {L}.",
    "According to {P}, the bridge was closed {D}.",
    "{O} bought {O} {D}.",
    "“We begin {D}”, said {P} of {O}.",
    "{P} was born in {L}.",
    "The letter was posted in {L} {D} and reached {P} a week later.",
    "{L} has elected {P}.",
    "Ask {P}!",
    "{O} 🚆 {L}: tickets are on sale again.",
    "Who told {P} that {O} was leaving {L}?",
    "Nothing has changed since the last report.",
    "{P} (of {O}) spoke first, {P} second.",
    "{D} the lights went out in {L}.",
    "Both {L} and {L} lie on the same river.",
    "{O} paid for the repairs.",
    "{P}, who lives in {L}, will chair {O} from now on.",
    "The samples that {P} took in {L} {D} were lost by {O}.",
];

pub(super) fn entities() -> Dataset {
    let (mut chance, mut seen) = (Chance::new(2), HashSet::new());
    let mut rows = Vec::with_capacity(SENTENCES);
    while rows.len() < SENTENCES {
        let pattern = PATTERNS[rows.len() % PATTERNS.len()];
        let (text, marks) = fill(pattern, &mut chance);
        // The same sentence twice would be learnt by heart; one without names cannot be another one.
        if seen.insert(text.clone()) || marks.len() < 2 {
            rows.push(row(rows.len(), text, &marks));
        }
    }
    let tools: Vec<Value> = KINDS.map(|(_, name, _)| tool(name, "named-entity")).into();
    Dataset {
        name: "entities".to_owned(),
        media_type: "TEXT",
        normalized: json!({ "tools": tools, "classifications": [] }),
        rows: Rows::listed(rows),
        media: HashMap::new(),
    }
}

/// Something that is marked: its name, its first character, its text.
type Mark = (&'static str, usize, &'static str);

fn fill(pattern: &str, chance: &mut Chance) -> (String, Vec<Mark>) {
    let (mut text, mut marks) = (String::new(), Vec::new());
    for piece in pattern.split_inclusive(['{', '}']) {
        let letter = piece
            .strip_suffix('}')
            .and_then(|letter| letter.chars().next());
        let kind = letter.and_then(|letter| KINDS.iter().find(|kind| kind.0 == letter));
        let Some((_, name, words)) = kind else {
            text += piece.trim_end_matches('{');
            continue;
        };
        let word = words[chance.below(words.len())];
        marks.push((*name, text.chars().count(), word));
        text += word;
    }
    (text, marks)
}

fn row(at: usize, text: String, marks: &[Mark]) -> Row {
    let objects: Vec<Value> = marks
        .iter()
        .enumerate()
        .map(|(number, (name, start, word))| {
            let end = start + word.chars().count() - 1;
            let location = json!({ "start": start, "end": end, "token": word });
            let id = format!("cl0entity{at:04}{number}");
            object(&id, name, "TextEntity", "location", location)
        })
        .collect();
    Row {
        id: format!("cl0entity{at:016}"),
        global_key: Some(format!("entity-{at:04}")),
        external_id: None,
        row_data: RowData::Given(text),
        media_attributes: json!({ "mime_type": "text/plain" }),
        extras: Map::new(),
        annotations: json!({ "objects": objects, "classifications": [], "relationships": [] }),
        given: None,
        split: match at % 10 {
            ..7 => 0,
            7 => 1,
            _ => 2,
        },
    }
}
