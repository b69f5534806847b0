//! Several invocations of one stream at once: one works.

use jiff::Timestamp;
use lastpass_harness::{Error, Fault, Gate, Invocation, Rule, System};
use serde_json::json;

use crate::stage::{collect, company, plan};

#[tokio::test]
async fn of_two_at_once_one_works_and_the_other_says_until_when() -> Result<(), Error> {
    let Some((services, plan)) = plan("lease").await else { return Ok(()) };
    let installation = plan.world(company(31, 300, 5)).make(&services).await?;
    let gate = Gate::closed();
    installation.calls.add(Rule::on(System::LastPass, "reporting", Fault::Hold(gate.clone())).times(1));
    let (mut one, mut other) = (installation.function(), installation.function());

    let at_work = async { one.invoke(Invocation::new(collect("event_report"))).await?.answer() };
    let meanwhile = async {
        gate.reached().await;
        let skipped = other.ask(collect("event_report")).await?;
        // Other streams have leases of their own.
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
    // It was given up in order.
    assert_eq!(other.ask(collect("event_report")).await?["status"], "complete");
    Ok(())
}

#[tokio::test]
async fn of_five_at_once_nothing_is_lost_or_doubled() -> Result<(), Error> {
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
