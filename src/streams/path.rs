//! Where the fields of a document stand.
//!
//! Every field that a record may bring is in one table, in the order in which documents have them. So a document is a list
//! of places and values until it is written, and one that the table lacks does not compile.

use std::{collections::HashMap, fmt, sync::LazyLock};

/// How many there are.
pub(super) const COUNT: usize = 64;

/// All fields, by their dotted paths, but for those that are the same in all documents of a reading, and `event.outcome`,
/// which an action settles. Those of one object stand together, its own values before the objects in it.
const PATHS: [&str; COUNT] = [
    "@timestamp",
    "tags",
    "error.message",
    "event.kind",
    "event.action",
    "event.category",
    "event.type",
    "event.timezone",
    "event.original",
    "source.ip",
    "user.id",
    "user.email",
    "user.full_name",
    "user.group.name",
    "related.ip",
    "related.user",
    "lastpass.event_report.action",
    "lastpass.event_report.time",
    "lastpass.event_report.ip",
    "lastpass.event_report.user_name",
    "lastpass.event_report.data.original",
    "lastpass.event_report.data.added_site",
    "lastpass.event_report.data.deleted_site",
    "lastpass.event_report.data.failed_login",
    "lastpass.event_report.data.group_name",
    "lastpass.event_report.data.login_site",
    "lastpass.event_report.data.renamed_shared_folder_name",
    "lastpass.event_report.data.saml_login",
    "lastpass.event_report.data.secure_note",
    "lastpass.event_report.data.shared_folder_name",
    "lastpass.event_report.data.site",
    "lastpass.event_report.data.user_email",
    "lastpass.event_report.data.shared_folder_user_permissions.read_only",
    "lastpass.event_report.data.shared_folder_user_permissions.admin",
    "lastpass.event_report.data.shared_folder_user_permissions.hide_password",
    "lastpass.user.created",
    "lastpass.user.id",
    "lastpass.user.user_name",
    "lastpass.user.full_name",
    "lastpass.user.group",
    "lastpass.user.application",
    "lastpass.user.attachment",
    "lastpass.user.disabled",
    "lastpass.user.form_fill",
    "lastpass.user.last_login",
    "lastpass.user.last_password_change",
    "lastpass.user.linked",
    "lastpass.user.master_password_strength",
    "lastpass.user.never_logged_in",
    "lastpass.user.note",
    "lastpass.user.password_reset_required",
    "lastpass.user.sites",
    "lastpass.user.total_score",
    "lastpass.user.duo.user_name",
    "lastpass.detailed_shared_folder.name",
    "lastpass.detailed_shared_folder.deleted",
    "lastpass.detailed_shared_folder.score",
    "lastpass.detailed_shared_folder.shared_folder.id",
    "lastpass.detailed_shared_folder.user.name",
    "lastpass.detailed_shared_folder.user.super_admin",
    "lastpass.detailed_shared_folder.user.read_only",
    "lastpass.detailed_shared_folder.user.give",
    "lastpass.detailed_shared_folder.user.can_administer",
    "lastpass.detailed_shared_folder.user.site",
];

/// A place in a document. Places are ordered as documents have them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path(u8);

impl Path {
    /// The place of this dotted path. As a constant, it does not compile where there is none.
    ///
    /// # Panics
    /// If there is none.
    pub(super) const fn of(path: &str) -> Self {
        let mut index = 0;
        while index < PATHS.len() {
            if is_same(PATHS[index], path) {
                return Self(index as u8);
            }
            index += 1;
        }
        panic!("no field of a document has this path");
    }

    /// Its position among all places.
    pub(super) const fn position(self) -> usize {
        self.0 as usize
    }

    /// The dotted path.
    pub(super) const fn as_str(self) -> &'static str {
        PATHS[self.0 as usize]
    }
}

/// How documents nest: made of [`PATHS`] once, so that writing one looks at no path.
pub(super) struct Layout {
    /// Each field's name as JSON writes it, between a comma and a colon.
    names: Vec<String>,
    /// The object that each field is in.
    objects_of: Vec<usize>,
    /// The first is the document itself.
    objects: Vec<Object>,
    /// The way from each object to each.
    turns: Vec<Vec<String>>,
}

/// An object inside a document.
struct Object {
    /// The one it is in; its own position for the document itself.
    outer: usize,
    depth: usize,
    /// How it begins: its name and a brace.
    begin: String,
}

pub(super) static LAYOUT: LazyLock<Layout> = LazyLock::new(Layout::new);

impl Layout {
    fn new() -> Self {
        let document = Object { outer: 0, depth: 0, begin: "{".to_owned() };
        let mut layout = Self { names: Vec::new(), objects_of: Vec::new(), objects: vec![document], turns: Vec::new() };
        let mut known = HashMap::from([("", 0)]);
        for path in PATHS {
            let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
            layout.names.push(format!(",\"{name}\":"));
            let mut outer = 0;
            let ends = parent.match_indices('.').map(|(at, _)| at).chain([parent.len()]);
            for end in ends.filter(|end| *end > 0) {
                let (object, _) = parent.split_at(end);
                let (_, name) = object.rsplit_once('.').unwrap_or(("", object));
                outer = *known.entry(object).or_insert_with(|| {
                    let depth = layout.objects[outer].depth + 1;
                    layout.objects.push(Object { outer, depth, begin: format!("\"{name}\":{{") });
                    layout.objects.len() - 1
                });
            }
            layout.objects_of.push(outer);
        }
        let objects = layout.objects.len();
        layout.turns = (0..objects).map(|from| (0..objects).map(|to| layout.way(from, to)).collect()).collect();
        layout
    }

    /// The field's name as JSON writes it, between a comma and a colon.
    pub(super) fn name(&self, path: Path) -> &str {
        &self.names[usize::from(path.0)]
    }

    /// The object that a field is in.
    pub(super) fn object_of(&self, path: Path) -> usize {
        self.objects_of[usize::from(path.0)]
    }

    /// What is written from one object to another: it closes those that only the first is in, and opens those that only
    /// the second is in. Something stands in the first already.
    pub(super) fn turn(&self, from: usize, to: usize) -> &str {
        &self.turns[from][to]
    }

    fn way(&self, from: usize, to: usize) -> String {
        let shared = self.shared(from, to);
        let mut way = String::new();
        let mut left = from;
        while left != shared {
            way.push('}');
            left = self.objects[left].outer;
        }
        self.open(shared, to, &mut way);
        way
    }

    /// Opens `to`, which is in `open`, with all that it is in.
    fn open(&self, open: usize, to: usize, way: &mut String) {
        if open == to {
            return;
        }
        let Object { outer, begin, .. } = &self.objects[to];
        self.open(open, *outer, way);
        if *outer == open {
            way.push(',');
        }
        way.push_str(begin);
    }

    /// The innermost object that both are in.
    fn shared(&self, mut one: usize, mut other: usize) -> usize {
        while one != other {
            let (deeper, shallower) =
                if self.objects[one].depth > self.objects[other].depth { (one, other) } else { (other, one) };
            (one, other) = (self.objects[deeper].outer, shallower);
        }
        one
    }
}

/// A set of places.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Places(u64);

const _: () = assert!(COUNT <= u64::BITS as usize, "Places has a bit for each");

impl Places {
    /// These ones.
    pub(super) const fn of(paths: &[Path]) -> Self {
        let mut places = 0;
        let mut index = 0;
        while index < paths.len() {
            places |= 1 << paths[index].0;
            index += 1;
        }
        Self(places)
    }

    /// Whether this is one of them.
    pub(super) const fn has(self, path: Path) -> bool {
        self.0 >> path.0 & 1 == 1
    }

    /// Adds one.
    pub(super) const fn add(&mut self, path: Path) {
        self.0 |= 1 << path.0;
    }

    /// Those that `other` does not have.
    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Each, in the order of documents.
    pub(super) fn iter(self) -> impl Iterator<Item = Path> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let first = u8::try_from(left.trailing_zeros()).ok().filter(|first| usize::from(*first) < PATHS.len())?;
            left &= left - 1;
            Some(Path(first))
        })
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut index = 0;
    while index < one.len() && index < other.len() && one[index] == other[index] {
        index += 1;
    }
    one.len() == index && other.len() == index
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_fields_of_an_object_stand_together_and_no_field_is_an_object() {
        let parents = PATHS.map(|path| path.rsplit_once('.').map_or("", |(parent, _)| parent));
        let mut closed = HashSet::new();
        for pair in parents.windows(2) {
            let is_inside = |inner: &str, outer: &str| {
                outer.is_empty() || inner == outer || inner.starts_with(&format!("{outer}."))
            };
            let mut left = pair[0];
            while !is_inside(pair[1], left) {
                closed.insert(left);
                left = left.rsplit_once('.').map_or("", |(parent, _)| parent);
            }
            assert!(!closed.contains(pair[1]), "{} is opened twice", pair[1]);
        }
        assert!(PATHS.iter().all(|path| !parents.contains(path)));
        assert_eq!(PATHS.iter().collect::<HashSet<_>>().len(), PATHS.len());
    }

    #[test]
    fn objects_are_closed_and_opened_as_far_as_they_are_not_shared() {
        let turn = |from: &str, to: &str| {
            let object = |path: &str| if path.is_empty() { 0 } else { LAYOUT.object_of(Path::of(path)) };
            LAYOUT.turn(object(from), object(to))
        };
        assert_eq!(turn("", "event.kind"), ",\"event\":{");
        assert_eq!(turn("event.kind", "user.group.name"), "},\"user\":{\"group\":{");
        assert_eq!(turn("lastpass.event_report.ip", "lastpass.event_report.data.site"), ",\"data\":{");
        assert_eq!(turn("lastpass.event_report.data.site", ""), "}}}");
        assert_eq!(LAYOUT.name(Path::of("tags")), ",\"tags\":");
    }
}
