//! Determines the pass of each event in a repeated hour, by the order of its page or by the clock.

use std::cmp::Ordering;

use jiff::Timestamp;

use super::{
    contradiction::CLOCK_TOLERANCE,
    reporting::Event,
    time::{EventTime, LocalTime},
};

/// The order of the events in a page. LastPass documents descending order and shows ascending order. Neither is
/// trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// All events have the same time.
    Flat,
    Ascending,
    Descending,
    /// All steps are in a repeated hour and fit either order, because the clock may have been set back.
    Either,
    Unordered,
}

/// Determines the pass of each event in a repeated hour: by a visible jump back of the wall time, or by the clock if
/// only the first pass could have happened yet. The newest page comes first. Returns the events in the order in which
/// LastPass lists them, the oldest first. Leaves out events without a time.
///
/// A jump is evidence only inside a page. Pages that are sorted by wall time mix the passes, and their times jump from
/// one page to the next.
pub(super) fn determine_passes(pages: Vec<Vec<Event>>, clock: Timestamp) -> Vec<(Event, EventTime)> {
    let orders = orders_of(&pages);
    let mut events: Vec<(Event, LocalTime)> = Vec::with_capacity(pages.iter().map(Vec::len).sum());
    // The index where the second pass of a fold begins, with a time in that fold.
    let mut set_back: Vec<(usize, LocalTime)> = Vec::new();
    for (index, mut page) in pages.into_iter().enumerate().rev() {
        if orders.as_ref().is_none_or(|orders| orders[index] != Order::Ascending) {
            page.reverse();
        }
        let begin = events.len();
        events.extend(page.into_iter().filter_map(|event| event.time.map(|time| (event, time))));
        if orders.is_some() {
            let page = events.iter().enumerate().skip(begin);
            let jumps = page.clone().zip(page.skip(1)).filter_map(|((_, (_, older)), (index, (_, newer)))| {
                (newer.civil() < older.civil() && newer.shares_fold(older)).then_some((index, *newer))
            });
            set_back.extend(jumps);
        }
    }
    let over = clock.saturating_add(CLOCK_TOLERANCE).unwrap_or(clock);
    let pass_of = |(index, (event, time)): (usize, (Event, LocalTime))| {
        let determined = match set_back.iter().find(|(_, other)| time.shares_fold(other)) {
            Some((second_pass, _)) if index < *second_pass => time.first_pass(),
            Some(_) => time.second_pass(),
            None if time.latest() > over => time.first_pass(),
            None => time.either_pass(),
        };
        (event, determined)
    };
    events.into_iter().enumerate().map(pass_of).collect()
}

/// Returns the order of each page, or `None` if any page is unordered. A page without an order of its own takes the
/// order of the others.
fn orders_of(pages: &[Vec<Event>]) -> Option<Vec<Order>> {
    let mut orders: Vec<Order> = pages.iter().map(|page| order_of(page)).collect();
    if orders.contains(&Order::Unordered) {
        return None;
    }
    if orders.contains(&Order::Either) {
        let common = match (orders.contains(&Order::Ascending), orders.contains(&Order::Descending)) {
            (true, false) => Order::Ascending,
            (false, true) => Order::Descending,
            _ => return None,
        };
        orders.iter_mut().filter(|order| **order == Order::Either).for_each(|order| *order = common);
    }
    Some(orders)
}

/// Returns the order of a page by its wall times. In each repeated hour, one step may go the other way.
fn order_of(page: &[Event]) -> Order {
    let times: Vec<LocalTime> = page.iter().filter_map(|event| event.time).collect();
    let steps = |direction: Ordering| {
        let steps = times.iter().zip(times.iter().skip(1));
        steps.filter(move |(before, after)| after.civil().cmp(&before.civil()) == direction)
    };
    let are_set_backs = |direction: Ordering| {
        let mut last: Option<&LocalTime> = None;
        steps(direction).all(|(before, after)| {
            let is_first = last.is_none_or(|last| !last.shares_fold(before));
            last = Some(before);
            is_first && before.shares_fold(after)
        })
    };
    match (are_set_backs(Ordering::Less), are_set_backs(Ordering::Greater)) {
        (true, false) => Order::Ascending,
        (false, true) => Order::Descending,
        (false, false) => Order::Unordered,
        (true, true) if times.iter().all(|time| time.civil() == times[0].civil()) => Order::Flat,
        (true, true) => Order::Either,
    }
}
