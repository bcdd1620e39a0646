//! dev
use rm_core::testing::failover::{Counts, Kind, run, trace};
use rm_core::testing::random::Random;
use rm_rwlock::{RwCredit, RwLockType};
fn ask(random: &mut Random) -> RwCredit {
    match random.below(10) {
        0..=4 => RwCredit::READ,
        5 => RwCredit::UPGRADABLE,
        _ => RwLockType::with_shares(6).write(),
    }
}
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let kind = *Kind::ALL.iter().find(|k| k.name() == args[1]).unwrap();
    let from: u64 = args[2].parse().unwrap();
    let count: u64 = args[3].parse().unwrap();
    let t = RwLockType::with_shares(6);
    if count == 0 {
        match trace(kind, from, &t, ask) {
            Ok(c) => println!("{c}"),
            Err(f) => {
                for l in &f.trace {
                    println!("{l}");
                }
                println!("{f}");
            }
        }
        return;
    }
    std::panic::set_hook(Box::new(|p| {
        if std::env::var("SHOW").is_ok() {
            eprintln!("{p}\n{}", std::backtrace::Backtrace::force_capture())
        }
    }));
    let start = std::time::Instant::now();
    let mut sum = Counts::default();
    let mut bad = 0;
    let max: u64 = args.get(4).map_or(5, |a| a.parse().unwrap());
    for seed in from..from + count {
        match run(kind, seed, &t, ask) {
            Ok(c) => sum.add(&c),
            Err(f) => {
                bad += 1;
                println!("{f}");
                if bad >= max {
                    break;
                }
            }
        }
    }
    println!(
        "{sum}{bad} bad, {:?} each",
        start.elapsed() / (sum.schedules + bad).max(1) as u32
    );
}
