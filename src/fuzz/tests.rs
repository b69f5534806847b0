//! Some thousands of inputs a target: the short way of `make fuzz`.

use fastrand::Rng;

use super::{Ended, Tally, Target, mutate::mutate};

/// Inputs of each target. Chosen: some seconds without optimisation.
const INPUTS: u64 = 2_000;

/// The same inputs each time: one that fails is found again.
const SEED: u64 = 5;

fn play(target: Target) -> Tally {
    let seeds = target.seeds();
    let mut rng = Rng::with_seed(SEED);
    let mut tally = Tally::default();
    for index in 0..INPUTS {
        let [input, other] = [(); 2].map(|()| &seeds[rng.usize(..seeds.len())]);
        let input = mutate(&mut rng, input, other);
        let played = std::panic::catch_unwind(|| target.play(&input));
        let Ok(ended) = played else {
            panic!("{} {index}: {}", target.name(), input.escape_ascii());
        };
        tally.count(ended);
    }
    tally
}

#[test]
fn every_seed_is_read_or_refused_as_it_should_be() {
    for target in Target::ALL {
        let mut tally = Tally::default();
        for seed in target.seeds() {
            tally.count(target.play(&seed));
        }
        let good = tally.total() - tally.of(Ended::Refused) - tally.of(Ended::Empty);
        assert!(good * 3 >= tally.total(), "too few good seeds to change: {}: {tally}", target.name());
        println!("{} {tally}", target.name());
    }
}

macro_rules! targets {
    ($($test:ident: $target:expr => [$($ends:ident),+];)+) => {$(
        #[test]
        fn $test() {
            let tally = play($target);
            println!("{} {tally}", $target.name());
            assert_eq!(tally.total(), INPUTS);
            // A generator that doesn't reach an end finds nothing there.
            for ended in [$(Ended::$ends),+] {
                assert!(tally.of(ended) >= INPUTS / 100, "{ended:?}: {tally}");
            }
        }
    )+};
}

targets! {
    answers_to_reporting_end_in_documents_or_errors: Target::Reporting => [Documents, PipelineError, Refused];
    answers_to_getuserdata_end_in_documents_or_errors: Target::GetUserData => [Documents, PipelineError, Refused];
    answers_to_getdetailedsfdata_end_in_documents_or_errors:
        Target::GetDetailedSfData => [Documents, PipelineError, Refused];
    records_end_in_documents_that_a_redrive_makes_again: Target::Record => [Documents, PipelineError];
    payloads_are_taken_or_refused_by_name: Target::Payload => [Taken, Refused];
    secrets_are_taken_or_refused_without_quoting_them: Target::Secret => [Taken, Refused];
    settings_are_taken_or_refused_by_name: Target::Settings => [Taken, Refused];
    answers_to_a_bulk_end_in_fates_or_errors: Target::Elasticsearch => [Taken, DeadLetter, Refused];
    items_are_read_as_they_are_written_or_refused_by_attribute: Target::Checkpoint => [Taken, Refused];
}
