//! Plays the inputs that libFuzzer makes, by what code they reach, through one target of `lastpass_elastic::fuzz`.
//!
//! `FUZZ_TARGET` names the target, `FUZZ_CORPUS` the folder that its seeds are put into, and after `FUZZ_INPUTS` inputs
//! it is said how they ended. `scripts/fuzz.sh` sets them.
#![no_main]

use std::{
    env, fs,
    path::PathBuf,
    sync::{LazyLock, Mutex, PoisonError},
};

use lastpass_elastic::fuzz::{
    Tally, Target,
    mutate::{is_json, mutate},
};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = env::var("FUZZ_TARGET").expect("FUZZ_TARGET is set");
    Target::ALL.into_iter().find(|target| target.name() == name).expect("FUZZ_TARGET names a target")
});
static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| TARGET.seeds());
static INPUTS: LazyLock<u64> =
    LazyLock::new(|| env::var("FUZZ_INPUTS").ok().and_then(|inputs| inputs.parse().ok()).unwrap_or(u64::MAX));
static TALLY: LazyLock<Mutex<Tally>> = LazyLock::new(Mutex::default);

/// Puts the seeds where libFuzzer looks for inputs to start from.
fn write_seeds() {
    let Some(corpus) = env::var_os("FUZZ_CORPUS").map(PathBuf::from) else { return };
    fs::create_dir_all(&corpus).expect("the corpus can be made");
    for (index, seed) in SEEDS.iter().enumerate() {
        fs::write(corpus.join(format!("seed-{index:04}")), seed).expect("a seed can be written");
    }
}

fuzz_target!(
    init: write_seeds(),
    |input: &[u8]| {
        let ended = TARGET.play(input);
        let mut tally = TALLY.lock().unwrap_or_else(PoisonError::into_inner);
        tally.count(ended);
        if tally.total() == *INPUTS {
            println!("{:<18} {tally}", TARGET.name());
        }
    }
);

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut rng = fastrand::Rng::with_seed(u64::from(seed));
    // Its changes of bytes mostly make an answer none, which is soon known to be refused.
    if rng.u8(..8) == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let other = &SEEDS[rng.usize(..SEEDS.len())];
    // What isn't JSON any more leads nowhere new: most begin anew.
    let input = if is_json(&data[..size]) || rng.u8(..4) == 0 { &data[..size] } else { other };
    let mutated = mutate(&mut rng, input, other);
    let length = mutated.len().min(max_size);
    data[..length].copy_from_slice(&mutated[..length]);
    length
});
