//! dev
use rm_core::testing::failover::{Counts, Kind, Schedule};
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
    std::panic::set_hook(Box::new(|p| {
        if std::env::var("SHOW").is_ok() {
            eprintln!("{p}\n{}", std::backtrace::Backtrace::force_capture())
        }
    }));
    let start = std::time::Instant::now();
    let mut sum = Counts::default();
    let mut bad = 0;
    let max: u64 = args.get(4).map_or(5, |a| a.parse().unwrap());
    let verbose = count == 0;
    for seed in from..from + count.max(1) {
        match (Schedule {
            kind,
            seed,
            resource_type: &t,
            ask,
            replay: "",
        })
        .run()
        {
            Ok(c) => sum.add(&c),
            Err(mut f) => {
                bad += 1;
                if !verbose {
                    f.trace.clear();
                }
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
