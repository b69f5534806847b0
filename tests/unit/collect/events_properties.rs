//! Properties of reading events repeatedly: in every case, the delivered documents are those of one plain reading of
//! all events.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::windows::{LivePlan, LookBack, Past, backfill_window};
use crate::{
    document::{DocId, Document},
    lastpass::{
        testing::{Entry, Habits, LastPass, Order, REACH, days, habits, much_later, offsets, repeatedly},
        whole_seconds::{CLOCK_TOLERANCE, WholeSeconds, WindowReader},
    },
    request::Window,
    streams::{Mapper, event_report, testing},
};

/// The fate of a run at one of its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    GoesOn,
    CrashesBeforeDelivery,
    CrashesBeforeSaving,
    CrashesAfterSaving,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        3 => Just(Fate::GoesOn),
        1 => Just(Fate::CrashesBeforeDelivery),
        1 => Just(Fate::CrashesBeforeSaving),
        1 => Just(Fate::CrashesAfterSaving),
    ];
    prop::collection::vec(fate, 0..6)
}

#[derive(Debug)]
struct Crash;

/// The instant of a delivered document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Delivered {
    timestamp: Timestamp,
    ambiguous: bool,
}

/// A model of the function, between a small LastPass and documents that are created once.
struct Function {
    lastpass: LastPass,
    mapper: Mapper,
    delivered: BTreeMap<DocId, Delivered>,
    /// The true time.
    time: Timestamp,
    /// How far the clock is ahead of the true time.
    clock_ahead: SignedDuration,
    page_takes: SignedDuration,
    fates: std::vec::IntoIter<Fate>,
}

/// A window that was not read to its end.
#[derive(Debug, Clone, Copy)]
struct Unfinished {
    from: Timestamp,
    to: Timestamp,
    position: Timestamp,
    /// When the first page of the window was read.
    begun_at: Timestamp,
}

#[derive(Debug, Default)]
struct Checkpoint {
    past: Past,
    unfinished: Option<Unfinished>,
    /// When the first page of the window that moved the watermark was read.
    begun_at: Option<Timestamp>,
}

impl Function {
    fn new(lastpass: LastPass, time: Timestamp) -> Self {
        let mapper = Mapper { zone: lastpass.zone.clone(), ..testing::plain_mapper() };
        Self {
            lastpass,
            mapper,
            delivered: BTreeMap::new(),
            time,
            clock_ahead: SignedDuration::ZERO,
            page_takes: SignedDuration::ZERO,
            fates: Vec::new().into_iter(),
        }
    }

    fn clock(&self) -> Timestamp {
        self.time + self.clock_ahead
    }

    fn documents(&self, whole: WholeSeconds) -> Vec<Document> {
        event_report::documents(&self.mapper, &testing::stamps(), whole.events).collect()
    }

    /// Models `Run::read_window`.
    fn read_window(
        &mut self,
        from: Timestamp,
        position: Timestamp,
        mut save: impl FnMut(Timestamp),
    ) -> Result<(), Crash> {
        let zone = self.lastpass.zone.clone();
        let mut reading = WindowReader::new(&zone, from, position);
        for _ in 0..1_000 {
            let page = self.lastpass.answer(&reading.request(), self.time);
            self.time += self.page_takes;
            let whole = reading.take(page, self.clock()).expect("no contradiction");
            let (position, complete) = (whole.position, whole.complete);
            let fate = self.fates.next().unwrap_or(Fate::GoesOn);
            if fate == Fate::CrashesBeforeDelivery {
                return Err(Crash);
            }
            for document in self.documents(whole) {
                let ambiguous = document.source.contains("\"ambiguous_time\"");
                let delivered = Delivered { timestamp: document.timestamp, ambiguous };
                self.delivered.entry(document.id).or_insert(delivered);
            }
            if fate == Fate::CrashesBeforeSaving {
                return Err(Crash);
            }
            if complete {
                return Ok(());
            }
            save(position);
            if fate == Fate::CrashesAfterSaving {
                return Err(Crash);
            }
        }
        panic!("reading never ends");
    }

    /// Models `Run::read_backfill`, with as many runs as it needs.
    fn backfill(&mut self, requested: Window) -> Window {
        let window = backfill_window(requested, self.clock(), &self.lastpass.zone);
        let mut position = window.to;
        while window.from < position && self.read_window(window.from, position, |reached| position = reached).is_err() {
        }
        window
    }

    /// Models `Run::read_up_to`.
    fn run(
        &mut self,
        checkpoint: &mut Checkpoint,
        scheduled: Option<Timestamp>,
        look_back: LookBack,
    ) -> Result<(), Crash> {
        let now = scheduled.map_or(self.clock(), |scheduled| scheduled.min(self.clock()));
        if let Some(left) = checkpoint.unfinished {
            self.finish(checkpoint, left)?;
        }
        let plan = LivePlan::new(now, checkpoint.past, look_back, &self.lastpass.zone);
        let left = Unfinished { from: plan.read_from, to: plan.window.to, position: plan.read_to, begun_at: self.time };
        self.finish(checkpoint, left)
    }

    fn finish(&mut self, checkpoint: &mut Checkpoint, left: Unfinished) -> Result<(), Crash> {
        self.read_window(left.from, left.position, |position| {
            checkpoint.unfinished = Some(Unfinished { position, ..left });
        })?;
        let past = checkpoint.past.after(left.from, left.to, &self.lastpass.zone);
        *checkpoint = Checkpoint { past, unfinished: None, begun_at: Some(left.begun_at) };
        Ok(())
    }

    /// Returns the result of one plain reading of everything: each `_id` with its event, oldest first.
    fn truth(&self) -> Vec<(DocId, Entry)> {
        let lastpass = self.lastpass.with_habits(Habits::PLAIN);
        let (Some(first), Some(last)) = (lastpass.entries().next(), lastpass.entries().last()) else {
            return Vec::new();
        };
        let window = Window { from: first.instant, to: last.instant + SignedDuration::from_secs(1) };
        let window = backfill_window(window, much_later(last.instant), &lastpass.zone);
        let mut reading = WindowReader::new(&lastpass.zone, window.from, window.to);
        let clock = much_later(last.instant);
        let whole = reading.take(lastpass.answer(&reading.request(), clock), clock).expect("no contradiction");
        assert!(whole.complete);
        // Each event has its own ID. Equal events are in the order of their ordinals.
        let mut ids: BTreeMap<String, Vec<DocId>> = BTreeMap::new();
        let records: Vec<String> = whole.events.iter().map(|(record, _)| record.clone()).collect();
        let documents = self.documents(whole);
        assert_eq!(documents.iter().map(|document| &document.id).collect::<BTreeSet<_>>().len(), documents.len());
        for (record, document) in records.into_iter().zip(documents).rev() {
            ids.entry(record).or_default().push(document.id);
        }
        let id = |entry: &Entry| ids.get_mut(&lastpass.record(entry)).and_then(Vec::pop).expect("an id for each event");
        let entries: Vec<Entry> = lastpass.entries().cloned().collect();
        entries.iter().map(id).zip(entries.clone()).collect()
    }

    /// Checks that every instant is the true one unless the document is marked as ambiguous. Skips shuffled responses,
    /// because a shuffled page can look ordered.
    fn check_instants(&self, truth: &[(DocId, Entry)]) -> Result<(), TestCaseError> {
        if self.lastpass.habits().order == Order::Shuffled {
            return Ok(());
        }
        for (id, entry) in truth.iter().filter(|(_, entry)| entry.has_time) {
            match self.delivered.get(id) {
                Some(delivered) if !delivered.ambiguous => prop_assert_eq!(delivered.timestamp, entry.instant),
                Some(_) | None => {}
            }
        }
        Ok(())
    }
}

/// A generated event.
#[derive(Debug, Clone)]
struct Drawn {
    offset: i64,
    has_time: bool,
    data: &'static str,
    /// How late the event appears, in hundredths of the overlap.
    late: i32,
}

fn events(offsets: impl Strategy<Value = i64>) -> impl Strategy<Value = Vec<Drawn>> {
    let late = prop_oneof![1 => Just(0), 1 => 0..=100_i32, 2 => Just(100)];
    let drawn = (offsets, prop::bool::weighted(0.9), prop::sample::select(vec!["", "example.com"]), late)
        .prop_map(|(offset, has_time, data, late)| Drawn { offset, has_time, data, late });
    repeatedly(drawn, 32)
}

/// Builds the entries of generated events. Events may be equal, except that those without a time get different data,
/// because equal events without a time in two responses count as one.
fn entries(middle: Timestamp, overlap: SignedDuration, events: &[Drawn]) -> Vec<Entry> {
    let entry = |(index, drawn): (usize, &Drawn)| {
        let instant = middle + SignedDuration::from_secs(drawn.offset);
        // Rounded down to whole seconds, so that no event appears later than the overlap.
        let late = SignedDuration::from_secs((overlap * drawn.late / 100).as_secs());
        let data = if drawn.has_time { drawn.data.to_owned() } else { index.to_string() };
        Entry { instant, shown_from: instant + late, has_time: drawn.has_time, data }
    };
    events.iter().enumerate().map(entry).collect()
}

/// The start of a live run.
#[derive(Debug, Clone)]
struct Start {
    /// Seconds after the end of the run before.
    wait: i64,
    clock_ahead: i64,
    page_takes: i64,
    schedule: Schedule,
    fates: Vec<Fate>,
}

#[derive(Debug, Clone, Copy)]
enum Schedule {
    None,
    /// Due this many seconds before the run begins.
    Own(i64),
    /// Due at the same time as the run before.
    Repeated,
}

fn starts() -> impl Strategy<Value = Vec<Start>> {
    let tolerance = CLOCK_TOLERANCE.as_secs();
    let clock_ahead = prop_oneof![-120..=120_i64, Just(-tolerance), Just(tolerance)];
    let schedule = prop_oneof![Just(Schedule::None), (0..90_i64).prop_map(Schedule::Own), Just(Schedule::Repeated)];
    let start = (30..1_800_i64, clock_ahead, 0..20_i64, schedule, fates()).prop_map(
        |(wait, clock_ahead, page_takes, schedule, fates)| Start { wait, clock_ahead, page_takes, schedule, fates },
    );
    prop::collection::vec(start, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn backfills_of_any_ranges_give_the_ids_of_one_reading(
        (zone, middle) in days(),
        habits in habits(),
        events in events(offsets()),
        ranges in prop::collection::vec((offsets(), offsets()), 1..6),
        fates in fates(),
    ) {
        let entries = entries(middle, SignedDuration::ZERO, &events);
        let mut function = Function::new(LastPass::new(zone, habits, entries), much_later(middle));
        function.fates = fates.into_iter();
        let at = |offset: i64| middle + SignedDuration::from_secs(offset);
        let windows: Vec<Window> = ranges
            .into_iter()
            .map(|(one, other)| function.backfill(Window { from: at(one.min(other)), to: at(one.max(other) + 1) }))
            .collect();

        let truth = function.truth();
        let is_read = |entry: &Entry| windows.iter().any(|window| (window.from..window.to).contains(&entry.instant));
        for (id, entry) in &truth {
            // An event without a time may be delivered with a window that does not contain it.
            if entry.has_time || is_read(entry) {
                prop_assert_eq!(function.delivered.contains_key(id), is_read(entry), "{:?}", entry);
            }
        }
        let known: BTreeSet<&DocId> = truth.iter().map(|(id, _)| id).collect();
        prop_assert!(function.delivered.keys().all(|id| known.contains(id)));
        function.check_instants(&truth)?;
    }

    #[test]
    fn live_runs_give_the_ids_of_one_reading_at_the_end(
        (zone, middle) in days(),
        habits in habits(),
        events in events(-REACH..REACH),
        // Shorter than a repeated hour, so that the passes of equal events are told apart by the order of appearance.
        overlap in (1..30_i64).prop_map(SignedDuration::from_mins),
        starts in starts(),
    ) {
        let look_back = LookBack { initial_lookback: SignedDuration::from_hours(24), overlap };
        let begin = middle - SignedDuration::from_secs(REACH);
        let entries = entries(middle, overlap, &events);
        let mut function = Function::new(LastPass::new(zone, habits, entries), begin);
        let truth = function.truth();
        let mut checkpoint = Checkpoint::default();
        let mut scheduled = begin;
        for start in starts {
            function.time += SignedDuration::from_secs(start.wait);
            function.clock_ahead = SignedDuration::from_secs(start.clock_ahead);
            function.page_takes = SignedDuration::from_secs(start.page_takes);
            function.fates = start.fates.into_iter();
            let due = match start.schedule {
                Schedule::None => None,
                Schedule::Own(seconds) => Some(function.time - SignedDuration::from_secs(seconds)),
                Schedule::Repeated => Some(scheduled),
            };
            scheduled = due.unwrap_or(scheduled);
            let before = checkpoint.past.watermark;
            let outcome = function.run(&mut checkpoint, due, look_back);
            prop_assert!(checkpoint.past.watermark >= before && (outcome.is_err() || checkpoint.unfinished.is_none()));

            // The watermark passes no event that had appeared when reading began, and a complete run leaves none
            // behind.
            let is_due = |entry: &Entry| {
                let passed = outcome.is_ok() || Some(entry.instant) < checkpoint.past.watermark;
                passed && Some(entry.shown_from) <= checkpoint.begun_at
            };
            let mut ids: BTreeMap<String, (usize, Vec<&DocId>)> = BTreeMap::new();
            for (id, entry) in &truth {
                let (due, equals) = ids.entry(function.lastpass.record(entry)).or_default();
                *due += usize::from(is_due(entry));
                equals.push(id);
            }
            for (record, (due, ids)) in ids {
                let are_delivered = ids.iter().take(due).all(|id| function.delivered.contains_key(*id));
                prop_assert!(are_delivered, "{:?} lacks some of {} {}", checkpoint, due, record);
            }
        }
        function.time = function.time.max(middle + SignedDuration::from_secs(REACH) + overlap);
        function.fates = Vec::new().into_iter();
        prop_assert!(function.run(&mut checkpoint, None, look_back).is_ok());
        let delivered: BTreeSet<&DocId> = function.delivered.keys().collect();
        prop_assert_eq!(delivered, truth.iter().map(|(id, _)| id).collect::<BTreeSet<_>>());
        function.check_instants(&truth)?;
    }
}
