//! Users and shared folders: complete, once for each `scheduled_time`, and consistent.

use jiff::{SignedDuration, Timestamp};
use lastpass_harness::{Answer, Error, Fault, Rule, System, now};
use lastpass_simulator::{Command, CompanySize, FolderPaging, PagesCounted, Quirks, World};
use serde_json::{Value, json};

use crate::stage::{assert_accounted, number, plan};

const SCHEDULED: &str = "2025-06-01T00:00:00Z";
const LATER: &str = "2025-06-02T00:00:00Z";

fn at(stream: &str, scheduled_time: &str) -> Value {
    json!({"action": "collect", "stream": stream, "scheduled_time": scheduled_time})
}

fn world(users: usize, folders: usize) -> World {
    let size = CompanySize { events: 0, users, folders, ..CompanySize::default() };
    World::company(11, &size, now())
}

#[tokio::test]
async fn the_same_scheduled_time_adds_nothing_and_the_next_is_another_snapshot() -> Result<(), Error> {
    let Some((services, plan)) = plan("scheduled").await else { return Ok(()) };
    let installation = plan.world(world(60, 12)).make(&services).await?;
    let mut function = installation.function();
    for (stream, documents) in
        [("user", 60), ("detailed_shared_folder", installation.simulator.folder_documents() as u64)]
    {
        let first = function.ask(at(stream, SCHEDULED)).await?;
        assert_accounted(&first);
        assert_eq!((&first["status"], number(&first, "created")), (&json!("complete"), documents), "{first}");
        assert_eq!(first["checkpoint"], SCHEDULED, "{first}");
        assert_eq!(first["window"], Value::Null, "{first}");
        // Lambda or a schedule may run an invocation twice.
        let again = function.ask(at(stream, SCHEDULED)).await?;
        assert_eq!(number(&again, "created"), 0, "{again}");
        let next = function.ask(at(stream, LATER)).await?;
        assert_eq!((number(&next, "created"), &next["checkpoint"]), (documents, &json!(LATER)), "{next}");
        assert_eq!(services.elasticsearch.count(&installation.data_stream(stream)).await?, 2 * documents);
    }
    Ok(())
}

#[tokio::test]
async fn pages_of_every_size_make_one_snapshot_of_one_moment() -> Result<(), Error> {
    for user_page_cap in [7, 20, 60] {
        let Some((services, plan)) = plan("user_pages").await else { return Ok(()) };
        let quirks = Quirks { user_page_cap, ..Quirks::default() };
        let installation = plan.world(world(60, 12)).quirks(quirks).make(&services).await?;
        let mut function = installation.function();
        for stream in ["user", "detailed_shared_folder"] {
            let answer = function.ask(at(stream, SCHEDULED)).await?;
            assert_eq!(answer["status"], "complete", "{answer}");
        }
        let (users, folders) = (installation.compare_users().await?, installation.compare_folders().await?);
        assert!(users.is_exact() && users.truth == 60, "pages of {user_page_cap}: {users}");
        assert!(folders.is_exact(), "{folders}");
    }
    Ok(())
}

#[tokio::test]
async fn no_user_is_lost_if_one_is_added_between_pages() -> Result<(), Error> {
    let Some((services, plan)) = plan("moving").await else { return Ok(()) };
    let quirks = Quirks { user_page_cap: 10, ..Quirks::default() };
    let installation = plan.world(world(35, 1)).quirks(quirks).make(&services).await?;
    // All later users move by one place, into the next page.
    let newcomer = json!({"username": "new@example.com", "fullname": "New"});
    installation.simulator.after_page(Command::GetUserData, 2, |world| world.users.put_first("new", newcomer));
    let mut function = installation.function();
    let answer = function.ask(at("user", SCHEDULED)).await?;
    assert_eq!(answer["status"], "complete", "{answer}");
    let users = installation.compare_users().await?;
    assert!(users.is_exact() && users.truth == 36, "{users}");
    Ok(())
}

#[tokio::test]
async fn a_snapshot_of_an_account_that_never_stops_changing_is_accepted_after_ten_passes() -> Result<(), Error> {
    let Some((services, plan)) = plan("changing").await else { return Ok(()) };
    let quirks = Quirks { user_page_cap: 9, ..Quirks::default() };
    let installation = plan.world(world(30, 1)).quirks(quirks).make(&services).await?;
    // More pages than ten passes have.
    for page in 1..=150 {
        let newcomer = json!({"username": format!("new{page}@example.com")});
        installation
            .simulator
            .after_page(Command::GetUserData, page, move |world| world.users.put(format!("new{page}"), newcomer));
    }
    let mut function = installation.function();
    let answer = function.ask(at("user", SCHEDULED)).await?;

    let (mut users, mut requests) = (30, 0);
    for _pass in 0..10 {
        // A page shows the users before the one that is added after it.
        let pages = (1..).find(|page| page * 9 >= users + page - 1).expect("a last page");
        (users, requests) = (users + pages, requests + pages);
    }
    assert_eq!((&answer["status"], number(&answer, "lastpass_requests")), (&json!("complete"), requests), "{answer}");
    assert_eq!(number(&answer, "created"), users - 1, "all but the user added after the last page: {answer}");
    Ok(())
}

#[tokio::test]
async fn no_other_user_is_lost_if_one_is_replaced_between_pages() -> Result<(), Error> {
    let Some((services, plan)) = plan("going").await else { return Ok(()) };
    let quirks = Quirks { user_page_cap: 10, ..Quirks::default() };
    let installation = plan.world(world(35, 1)).quirks(quirks).make(&services).await?;
    // All later users move back by one place: the first user of the next page moves into the page that was read.
    installation.simulator.after_page(Command::GetUserData, 1, |world| {
        let first = world.users.iter().next().map(|(key, _)| key.to_owned()).expect("a user");
        world.users.remove(&first);
        world.users.put("new", json!({"username": "new@example.com"}));
    });
    let mut function = installation.function();
    let answer = function.ask(at("user", SCHEDULED)).await?;
    assert_eq!((&answer["status"], number(&answer, "created")), (&json!("complete"), 36), "{answer}");
    assert_accounted(&answer);
    let users = installation.compare_users().await?;
    assert!(users.lost.is_empty() && users.truth == 35, "{users}");
    Ok(())
}

#[tokio::test]
async fn no_other_folder_is_lost_if_one_is_removed_between_pages() -> Result<(), Error> {
    let Some((services, plan)) = plan("folders").await else { return Ok(()) };
    let mut world = World::default();
    for number in 0..1_200 {
        world.folders.put(number.to_string(), json!({"sharedfoldername": format!("Folder {number}"), "users": []}));
    }
    let installation = plan.world(world).make(&services).await?;
    installation.simulator.after_page(Command::GetDetailedSfData, 1, |world| {
        world.folders.remove("7");
    });
    let mut function = installation.function();
    let answer = function.ask(at("detailed_shared_folder", SCHEDULED)).await?;
    assert_eq!((&answer["status"], number(&answer, "created")), (&json!("complete"), 1_200), "{answer}");
    let folders = installation.compare_folders().await?;
    assert!(folders.lost.is_empty() && folders.truth == 1_199, "{folders}");
    Ok(())
}

#[tokio::test]
async fn resume_takes_a_snapshot_of_which_no_page_was_read() -> Result<(), Error> {
    let Some((services, plan)) = plan("no_page").await else { return Ok(()) };
    let installation = plan.world(world(30, 1)).make(&services).await?;
    let mut function = installation.function();
    installation.calls.add(Rule::on(System::LastPass, "", Fault::Answer(Answer::json(400, &json!({})))));
    // The schedule's invocation and Lambda's retry.
    for _ in 0..2 {
        function.expect_error(at("user", SCHEDULED)).await?;
    }
    installation.calls.clear();
    let answer = function.ask(json!({"action": "resume"})).await?;
    assert_eq!(answer["status"], "complete", "{answer}");
    assert_eq!(installation.watermark("user").await?.as_deref(), Some(SCHEDULED));
    assert!(installation.compare_users().await?.is_exact());
    // The documents have the time of the read, not the scheduled time.
    let read_at: Vec<_> =
        installation.documents("user").await?.iter().map(|user| user.source["@timestamp"].clone()).collect();
    let recent = now() - SignedDuration::from_mins(5);
    let is_recent = |at: &Value| at.as_str().and_then(|at| at.parse::<Timestamp>().ok()).is_some_and(|at| at > recent);
    assert!(!read_at.is_empty() && read_at.iter().all(|at| *at == read_at[0] && is_recent(at)), "{read_at:?}");
    Ok(())
}

#[tokio::test]
async fn a_snapshot_of_one_page_is_read_once() -> Result<(), Error> {
    let Some((services, plan)) = plan("one_page").await else { return Ok(()) };
    let installation = plan.world(world(60, 12)).make(&services).await?;
    let mut function = installation.function();
    assert_eq!(number(&function.ask(at("user", SCHEDULED)).await?, "lastpass_requests"), 1);
    // Only an empty page ends the folders, and only a second pass shows that no folder moved meanwhile.
    assert_eq!(number(&function.ask(at("detailed_shared_folder", SCHEDULED)).await?, "lastpass_requests"), 3);
    Ok(())
}

#[tokio::test]
async fn all_folders_and_their_super_admins_are_read_however_pages_are_cut_and_counted() -> Result<(), Error> {
    let mut world = World::default();
    for number in 0..53 {
        let admin = json!({"username": "root@example.com", "superadmin": 1, "sites": []});
        let users = json!([{"username": "ann@example.com", "superadmin": 0}, admin]);
        world.folders.put(number.to_string(), json!({"sharedfoldername": format!("Folder {number}"), "users": users}));
    }
    for (folder_page_cap, pages_counted, folder_paging) in [
        (Some(1), PagesCounted::Given, FolderPaging::Honoured),
        (Some(7), PagesCounted::Given, FolderPaging::Honoured),
        (Some(7), PagesCounted::Asked, FolderPaging::Honoured),
        (Some(52), PagesCounted::Asked, FolderPaging::Honoured),
        (Some(53), PagesCounted::Given, FolderPaging::Honoured),
        (None, PagesCounted::Given, FolderPaging::Ignored),
    ] {
        let Some((services, plan)) = plan("capped").await else { return Ok(()) };
        let quirks = Quirks { folder_page_cap, pages_counted, folder_paging, ..Quirks::default() };
        let installation = plan.world(world.clone()).quirks(quirks.clone()).make(&services).await?;
        let mut function = installation.function();
        let answer = function.ask(at("detailed_shared_folder", SCHEDULED)).await?;
        assert_eq!((&answer["status"], number(&answer, "created")), (&json!("complete"), 106), "{quirks:?}: {answer}");
        let folders = installation.compare_folders().await?;
        assert!(folders.is_exact() && folders.truth == 106, "{quirks:?}: {folders}");
    }
    Ok(())
}

#[tokio::test]
async fn a_folder_that_moves_into_the_page_already_read_is_not_lost() -> Result<(), Error> {
    let Some((services, plan)) = plan("slips").await else { return Ok(()) };
    let mut world = World::default();
    for number in 0..8 {
        world.folders.put(number.to_string(), json!({"sharedfoldername": format!("Folder {number}"), "users": []}));
    }
    let quirks = Quirks { folder_page_cap: Some(7), ..Quirks::default() };
    let installation = plan.world(world).quirks(quirks).make(&services).await?;
    installation.simulator.after_page(Command::GetDetailedSfData, 1, |world| {
        world.folders.remove("3");
    });
    let mut function = installation.function();
    let answer = function.ask(at("detailed_shared_folder", SCHEDULED)).await?;
    assert_eq!(answer["status"], "complete", "{answer}");
    let folders = installation.compare_folders().await?;
    assert!(folders.lost.is_empty() && folders.truth == 7, "{folders}");
    Ok(())
}

#[tokio::test]
async fn users_are_all_read_however_pages_are_cut_and_counted() -> Result<(), Error> {
    for (user_page_cap, pages_counted, totals_absent) in
        [(7, PagesCounted::Asked, false), (7, PagesCounted::Given, true), (7, PagesCounted::Asked, true)]
    {
        let Some((services, plan)) = plan("user_caps").await else { return Ok(()) };
        let quirks = Quirks { user_page_cap, pages_counted, totals_absent, ..Quirks::default() };
        let installation = plan.world(world(60, 1)).quirks(quirks.clone()).make(&services).await?;
        let mut function = installation.function();
        let answer = function.ask(at("user", SCHEDULED)).await?;
        assert_eq!(answer["status"], "complete", "{answer}");
        let users = installation.compare_users().await?;
        assert!(users.is_exact() && users.truth == 60, "{quirks:?}: {users}");
    }
    Ok(())
}

#[tokio::test]
async fn large_folders_are_read_in_smaller_pages() -> Result<(), Error> {
    let Some((services, plan)) = plan("large").await else { return Ok(()) };
    let mut world = World::default();
    for number in 0..26 {
        let sites: Vec<String> = (0..34).map(|site| format!("{}{site}.example", "s".repeat(30_000))).collect();
        let users = json!([{"username": "ann@example.com", "sites": sites}]);
        world.folders.put(number.to_string(), json!({"sharedfoldername": format!("Folder {number}"), "users": users}));
    }
    let installation = plan.world(world).make(&services).await?;
    let mut function = installation.function();
    let answer = function.ask(at("detailed_shared_folder", SCHEDULED)).await?;
    assert_eq!((&answer["status"], number(&answer, "created")), (&json!("complete"), 26), "{answer}");
    let folders = installation.compare_folders().await?;
    assert!(folders.is_exact(), "26 folders differ");
    assert!(function.output().text().contains("requesting smaller pages"), "it says so");
    Ok(())
}

/// The harness fails the test if the password is in any log, response, request or document.
#[tokio::test]
async fn the_password_of_a_user_is_stored_nowhere() -> Result<(), Error> {
    let Some((services, plan)) = plan("attribs").await else { return Ok(()) };
    let mut world = world(30, 1);
    // The index rejects an object in a number field.
    world.users.put("refused", json!({"username": "refused@example.com", "sites": {"a": {"b": 1}}}));
    let quirks = Quirks { user_passwords: true, ..Quirks::default() };
    let installation = plan.world(world).quirks(quirks).make(&services).await?;
    let mut function = installation.function();
    let answer = function.ask(at("user", SCHEDULED)).await?;
    assert_eq!((number(&answer, "created"), number(&answer, "dead_letters")), (30, 1), "{answer}");
    function.ask(json!({"action": "redrive", "stream": "user"})).await?;
    for stream in ["user", "dead_letter"] {
        let documents = installation.documents(stream).await?;
        let originals: Vec<&str> = documents.iter().filter_map(|document| document.text("event.original")).collect();
        assert!(!originals.is_empty());
        assert!(originals.iter().all(|original| original.contains("Ops") && !original.contains("attribs-password")));
    }
    drop(function);
    installation.look_at_all().await?;
    assert_eq!(installation.watch.leaks(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn a_lost_answer_to_a_bulk_doubles_nothing() -> Result<(), Error> {
    let Some((services, plan)) = plan("lost_answer").await else { return Ok(()) };
    let installation = plan.world(world(60, 12)).make(&services).await?;
    let cut = Fault::Cut(lastpass_harness::Moment::After);
    installation.calls.add(Rule::on(System::Elasticsearch, "_bulk", cut).times(1));
    let mut function = installation.function();
    let answer = function.ask(at("user", SCHEDULED)).await?;
    assert_eq!(answer["status"], "complete", "{answer}");
    assert_eq!(number(&answer, "created") + number(&answer, "duplicates"), 60, "{answer}");
    assert_eq!(installation.calls.count_of(System::Elasticsearch, "_mget"), 1, "asked before the repetition");
    let users = installation.compare_users().await?;
    assert!(users.is_exact(), "{users}");
    Ok(())
}
