//! Every input that the fuzzer kept, and some drawn at random, as ordinary tests.

use std::fs;
use std::path::Path;

use rm_fuzz::TARGETS;

/// Inputs drawn at random, for each target.
const DRAWN: usize = 2_000;

/// The files of one folder, in the order of their names.
fn inputs(folder: &str, target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(folder)
        .join(target);
    let Ok(files) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut inputs: Vec<_> = files
        .map(|file| {
            let path = file.expect("the folder can be read").path();
            let bytes = fs::read(&path).expect("the file can be read");
            (path.display().to_string(), bytes)
        })
        .collect();
    inputs.sort();
    inputs
}

#[test]
fn every_kept_input_is_harmless() {
    for (target, run) in TARGETS {
        let mut count = 0;
        for (name, bytes) in inputs("corpus", target)
            .into_iter()
            .chain(inputs("regressions", target))
        {
            println!("{name}");
            run(&bytes);
            count += 1;
        }
        assert!(count > 0, "{target} has a corpus");
    }
}

#[test]
fn inputs_drawn_at_random_are_harmless() {
    let seed = rm_core::testing::fresh_seed();
    println!("RM_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for (target, run) in TARGETS {
        for _ in 0..DRAWN {
            let mut bytes = vec![0; random.usize(..1_024)];
            random.fill(&mut bytes);
            println!("{target}");
            run(&bytes);
        }
    }
}
