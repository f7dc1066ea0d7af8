//! The classes of an ontology, numbered in its order.

use std::collections::{HashMap, HashSet};

use crate::dataset::{Object, Ontology, Tool};

/// What is drawn with a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Box,
    Polygon,
    Mask,
}

impl Kind {
    /// By Labelbox's word for the tool (labelbox 7.17.0: `schema/tool_building/tool_type.py`).
    fn of(tool: &Tool) -> Option<Self> {
        match tool.kind.as_str() {
            "rectangle" => Some(Self::Box),
            "polygon" => Some(Self::Polygon),
            "raster-segmentation" | "superpixel" => Some(Self::Mask),
            _ => None,
        }
    }
}

/// A class of objects.
#[derive(Debug, Clone)]
pub(super) struct Class<K> {
    /// The tool's name, or one made of it if another tool has the same.
    pub(super) name: String,
    pub(super) kind: K,
    pub(super) tool: Tool,
    /// Whether the tool's own name is its alone.
    pub(super) own_name: bool,
}

/// What is drawn on images.
pub(super) type Regions = Classes<Kind>;

/// What is marked in texts.
pub(super) type Entities = Classes<()>;

/// Classes and their numbers, from 0.
#[derive(Debug)]
pub(super) struct Classes<K> {
    list: Vec<Class<K>>,
    by_id: HashMap<String, usize>,
    by_name: HashMap<String, usize>,
}

impl Regions {
    pub(super) fn of(ontology: &Ontology) -> Self {
        Self::gather(ontology, Kind::of)
    }

    /// How the class with that number is drawn.
    pub(super) fn kind(&self, number: usize) -> Option<Kind> {
        self.get(number).map(|class| class.kind)
    }

    /// Whether nothing is drawn as a mere box, so that outlines can be learnt.
    pub(super) fn have_outlines(&self) -> bool {
        !self.list.is_empty() && self.list.iter().all(|class| class.kind != Kind::Box)
    }
}

impl Entities {
    pub(super) fn of(ontology: &Ontology) -> Self {
        Self::gather(ontology, |tool| (tool.kind == "named-entity").then_some(()))
    }
}

impl<K> Classes<K> {
    fn gather(ontology: &Ontology, kind: impl Fn(&Tool) -> Option<K>) -> Self {
        let mut names = Names::default();
        let mut classes = Self {
            list: Vec::new(),
            by_id: HashMap::new(),
            by_name: HashMap::new(),
        };
        for tool in &ontology.tools {
            let Some(kind) = kind(tool) else { continue };
            let same = ontology
                .tools
                .iter()
                .filter(|other| other.name == tool.name);
            let number = classes.list.len();
            classes
                .by_id
                .entry(tool.schema_id.clone())
                .or_insert(number);
            classes.by_name.entry(tool.name.clone()).or_insert(number);
            classes.list.push(Class {
                name: names.unique(&tool.name, &tool.kind),
                kind,
                tool: tool.clone(),
                own_name: same.count() == 1,
            });
        }
        classes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Class<K>> {
        self.list.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn get(&self, number: usize) -> Option<&Class<K>> {
        self.list.get(number)
    }

    /// The class of an object, by its id, or by its name where the id is not known.
    pub(super) fn number_of(&self, object: &Object) -> Option<usize> {
        let id = object.feature_schema_id.as_ref();
        let by_id = id.and_then(|id| self.by_id.get(id));
        by_id.or_else(|| self.by_name.get(&object.name)).copied()
    }
}

/// Names of which no two are the same.
#[derive(Debug, Default)]
pub(super) struct Names {
    given: HashSet<String>,
}

impl Names {
    pub(super) fn without(taken: &[&str]) -> Self {
        let given = taken.iter().map(|name| (*name).to_owned()).collect();
        Self { given }
    }

    /// The name itself, or with what tells it from others in brackets.
    pub(super) fn unique(&mut self, name: &str, what: &str) -> String {
        let more = (2..).map(|count| format!("{name} ({what} {count})"));
        let mut names = [name.to_owned(), format!("{name} ({what})")]
            .into_iter()
            .chain(more);
        let unique = names.find(|name| !self.given.contains(name));
        let unique = unique.unwrap_or_default();
        self.given.insert(unique.clone());
        unique
    }
}
