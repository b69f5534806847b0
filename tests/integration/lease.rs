//! Several concurrent invocations of one stream: only one works.

use jiff::{SignedDuration, Timestamp};
use lastpass_harness::{Error, Fault, Gate, Invocation, Rule, System};
use lastpass_simulator::Quirks;
use serde_json::{Value, json};

use crate::stage::{ago, assert_accounted, collect, company, complete, expire_the_lease, number, plan};

#[tokio::test]
async fn of_two_concurrent_runs_one_works_and_the_other_reports_the_lease() -> Result<(), Error> {
    let Some((services, plan)) = plan("lease").await else { return Ok(()) };
    let installation = plan.world(company(31, 300, 5)).make(&services).await?;
    let gate = Gate::closed();
    installation.calls.add(Rule::on(System::LastPass, "reporting", Fault::Hold(gate.clone())).times(1));
    let (mut one, mut other) = (installation.function(), installation.function());

    let at_work = async { one.invoke(Invocation::new(collect("event_report"))).await?.answer() };
    let meanwhile = async {
        gate.reached().await;
        let skipped = other.ask(collect("event_report")).await?;
        // Each stream has its own lease.
        let users = other.ask(collect("user")).await?;
        gate.open();
        Ok::<_, Error>((skipped, users))
    };
    let (worked, meanwhile) = tokio::join!(at_work, meanwhile);
    let (worked, (skipped, users)) = (worked?, meanwhile?);
    assert_eq!((&skipped["status"], &skipped["reason"]), (&json!("skipped"), &json!("lease_held")), "{skipped}");
    let expires: Timestamp = skipped["lease_expires"].as_str().unwrap_or_default().parse().expect("a time");
    assert!(expires > lastpass_harness::now(), "{skipped}");
    assert_eq!((&worked["status"], &users["status"]), (&json!("complete"), &json!("complete")));
    let held = installation.compare_events().await?;
    assert!(held.is_exact() && held.truth == 300, "{held}");
    // The lease was released.
    assert_eq!(other.ask(collect("event_report")).await?["status"], "complete");
    Ok(())
}

#[tokio::test]
async fn five_concurrent_runs_lose_and_double_nothing() -> Result<(), Error> {
    let Some((services, plan)) = plan("five").await else { return Ok(()) };
    let installation = plan.world(company(32, 300, 5)).make(&services).await?;
    let (mut a, mut b, mut c, mut d, mut e) = (
        installation.function(),
        installation.function(),
        installation.function(),
        installation.function(),
        installation.function(),
    );
    let ask = || collect("event_report");
    let answers = tokio::join!(a.ask(ask()), b.ask(ask()), c.ask(ask()), d.ask(ask()), e.ask(ask()));
    let answers = [answers.0?, answers.1?, answers.2?, answers.3?, answers.4?];
    assert!(answers.iter().any(|answer| answer["status"] == "complete"), "{answers:?}");
    let held = installation.compare_events().await?;
    assert!(held.is_exact() && held.truth == 300, "{held}");
    Ok(())
}

/// Asserts the response of a run whose lease another run has taken over.
fn assert_lease_lost(answer: &Value) {
    assert_accounted(answer);
    assert_eq!((&answer["status"], &answer["reason"]), (&json!("partial"), &json!("lease_lost")), "{answer}");
}

#[tokio::test]
async fn a_run_that_lost_its_lease_ends_partial_and_moves_nothing() -> Result<(), Error> {
    let Some((services, plan)) = plan("lost").await else { return Ok(()) };
    let installation = plan.world(company(33, 300, 5)).make(&services).await?;
    let gate = Gate::closed();
    installation.calls.add(Rule::on(System::LastPass, "reporting", Fault::Hold(gate.clone())).times(1));
    let (mut slow, mut other) = (installation.function(), installation.function());

    let at_work = async { slow.invoke(Invocation::new(collect("event_report"))).await?.answer() };
    let meanwhile = async {
        gate.reached().await;
        expire_the_lease(&installation).await?;
        let answer = other.ask(collect("event_report")).await?;
        let item = installation.checkpoints().await?;
        gate.open();
        Ok::<_, Error>((answer, item))
    };
    let (lost, meanwhile) = tokio::join!(at_work, meanwhile);
    let (lost, (worked, checkpoints)) = (lost?, meanwhile?);
    assert_eq!((&worked["status"], number(&worked, "created")), (&json!("complete"), 300), "{worked}");
    assert_lease_lost(&lost);
    assert_eq!((number(&lost, "created"), number(&lost, "duplicates")), (0, 300), "what it did is counted: {lost}");
    assert_eq!(installation.checkpoints().await?, checkpoints, "the loser writes nothing");
    let held = installation.compare_events().await?;
    assert!(held.is_exact() && held.truth == 300, "{held}");

    slow.stop().await;
    let said = slow.output().text();
    assert!(said.contains("another run has taken over") && !said.contains("\"ERROR\""), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_run_that_lost_its_lease_does_not_release_that_of_the_other() -> Result<(), Error> {
    let Some((services, plan)) = plan("lost_at_work").await else { return Ok(()) };
    let installation = plan.world(company(34, 300, 5)).make(&services).await?;
    let (first, second) = (Gate::closed(), Gate::closed());
    for gate in [&first, &second] {
        installation.calls.add(Rule::on(System::LastPass, "reporting", Fault::Hold(gate.clone())).times(1));
    }
    let (mut slow, mut other) = (installation.function(), installation.function());
    let lost = async {
        let lost = slow.invoke(Invocation::new(collect("event_report"))).await?.answer();
        let held = installation.checkpoints().await?;
        second.open();
        Ok::<_, Error>((lost?, held))
    };
    let worked = async {
        first.reached().await;
        expire_the_lease(&installation).await?;
        let request = Invocation::new(collect("event_report")).with_request_id("the-other");
        let let_on = async {
            second.reached().await;
            first.open();
        };
        let (worked, ()) = tokio::join!(other.invoke(request), let_on);
        worked?.answer()
    };
    let (lost, worked) = tokio::join!(lost, worked);
    let ((lost, held), worked) = (lost?, worked?);
    assert_lease_lost(&lost);
    let lease = held["stream#event_report"]["lease"].as_m().expect("a lease");
    assert_eq!(lease["request_id"].as_s().map(String::as_str), Ok("the-other"), "{lease:?}");
    assert_eq!(worked["status"], "complete", "{worked}");
    assert_eq!(number(&lost, "created") + number(&worked, "created"), 300, "{lost} {worked}");
    let all = installation.compare_events().await?;
    assert!(all.is_exact() && all.truth == 300, "{all}");
    Ok(())
}

#[tokio::test]
async fn a_backfill_whose_item_is_deleted_stores_nothing_after_its_current_page() -> Result<(), Error> {
    let Some((services, plan)) = plan("deleted").await else { return Ok(()) };
    let quirks = Quirks { page_size: 30, ..Quirks::default() };
    let installation = plan.world(company(35, 300, 5)).quirks(quirks).make(&services).await?;
    let gate = Gate::closed();
    let third = Rule::on(System::LastPass, "reporting", Fault::Hold(gate.clone())).after(2).times(1);
    installation.calls.add(third);
    let mut function = installation.function();
    let (from, to) = (ago(SignedDuration::from_hours(24 * 6)), ago(SignedDuration::ZERO));
    let item = format!("backfill#event_report#{from}#{to}");
    let request = json!({"action": "backfill", "stream": "event_report", "from": from, "to": to});

    let at_work = async { function.invoke(Invocation::new(request)).await?.answer() };
    let meanwhile = async {
        gate.reached().await;
        assert!(installation.checkpoints().await?.contains_key(&item), "{item}");
        services.aws.delete_item(&installation.table, &item).await?;
        gate.open();
        Ok::<_, Error>(())
    };
    let (lost, meanwhile) = tokio::join!(at_work, meanwhile);
    let lost = lost?;
    meanwhile?;
    assert_lease_lost(&lost);
    assert_eq!(number(&lost, "lastpass_requests"), 3, "{lost}");
    let resumed = complete(&mut function, json!({"action": "resume"})).await?;
    assert_eq!(resumed["resumed"], json!([]), "{resumed}");
    assert_eq!(installation.documents("event_report").await?.len() as u64, number(&lost, "created"));
    assert!(!installation.checkpoints().await?.contains_key(&item), "it is not created again");
    Ok(())
}
