//! A fenced file, and writers that die between any two steps.

use tempfile::TempDir;

use super::*;

const STEPS: [Step; 5] = [
    Step::Admitted,
    Step::ContentStaged,
    Step::MarkStaged,
    Step::MarkRaised,
    Step::Replaced,
];

fn file() -> (TempDir, FencedFile) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = FencedFile::new(dir.path().join("data")).expect("a name");
    (dir, file)
}

/// A write that ends right after `last`, as if its process had been killed.
fn die_after(file: &FencedFile, last: Step, token: u64, content: &[u8]) {
    let mut died = false;
    let killed = file.replace(token, Some(content), &mut |step| {
        if step != last {
            return Ok(());
        }
        died = true;
        Err(io::Error::other("killed"))
    });
    assert!(died, "it came to {last:?}");
    killed.expect_err("killed");
}

fn content(file: &FencedFile) -> Vec<u8> {
    fs::read(&file.content).expect("there")
}

#[test]
fn a_late_writer_is_refused_and_changes_nothing() {
    let (_dir, file) = file();
    file.write(105, b"new").expect("admitted");
    let late = file.write(101, b"late").expect_err("late");
    let why = Refused::Late {
        token: 101,
        mark: 105,
    };
    assert!(matches!(late, FencedFileError::Refused { why: said, .. } if said == why));
    assert_eq!(content(&file), b"new");
}

#[test]
fn the_same_hold_writes_twice() {
    let (_dir, file) = file();
    file.write(105, b"once").expect("admitted");
    file.write(105, b"twice").expect("admitted");
    assert_eq!(content(&file), b"twice");
}

#[test]
fn readers_do_not_raise_the_mark_and_late_ones_are_refused() {
    let (_dir, file) = file();
    assert_eq!(file.read(104).expect("admitted"), None);
    file.write(105, b"new").expect("admitted");
    for reader in [120, 106] {
        let read = file.read(reader).expect("admitted");
        assert_eq!(read.as_deref(), Some(&b"new"[..]));
    }
    assert_eq!(file.mark().expect("sound").highest(), 105);
    assert!(matches!(
        file.read(104),
        Err(FencedFileError::Refused { .. })
    ));
}

#[test]
fn a_reader_s_token_does_not_write() {
    let (_dir, file) = file();
    let why = Refused::NotExclusive { token: 104 };
    let refused = file.write(104, b"").expect_err("even");
    assert!(matches!(refused, FencedFileError::Refused { why: said, .. } if said == why));
}

#[test]
fn a_raised_mark_shuts_older_holds_out_before_the_new_one_writes() {
    let (_dir, file) = file();
    file.write(101, b"old").expect("admitted");
    file.raise_mark(105).expect("admitted");
    file.write(101, b"late").expect_err("late");
    assert_eq!(
        file.read(105).expect("admitted").as_deref(),
        Some(&b"old"[..])
    );
}

#[test]
fn after_a_death_at_any_step_the_content_is_whole_and_covered_by_the_mark() {
    for last in STEPS {
        let (_dir, file) = file();
        file.write(101, b"old").expect("admitted");
        die_after(&file, last, 105, b"new");
        let mark = file.mark().expect("sound").highest();
        match content(&file).as_slice() {
            b"old" => assert!([101, 105].contains(&mark), "{last:?}: {mark}"),
            b"new" => assert_eq!(mark, 105, "{last:?}"),
            torn => panic!("{last:?}: {torn:?}"),
        }
    }
}

#[test]
fn after_a_death_at_any_step_nobody_reads_what_is_later_than_its_token() {
    for last in STEPS {
        let (_dir, file) = file();
        file.write(101, b"old").expect("admitted");
        die_after(&file, last, 105, b"new");
        let before = file.read(102);
        let is_new = content(&file) == b"new";
        assert!(!is_new || before.is_err(), "{last:?}: {before:?}");
        assert!(file.read(106).is_ok(), "{last:?}");
    }
}

#[test]
fn after_a_death_at_any_step_the_same_hold_and_later_ones_write_and_older_ones_do_not() {
    for last in STEPS {
        for next in [105, 107] {
            let (_dir, file) = file();
            file.write(103, b"old").expect("admitted");
            die_after(&file, last, 105, b"died");
            file.write(101, b"late").expect_err("late");
            file.write(next, b"next").expect("admitted");
            assert_eq!(content(&file), b"next", "{last:?}");
            file.write(103, b"late").expect_err("late");
        }
    }
}

#[test]
fn a_death_before_the_mark_is_raised_costs_the_older_hold_nothing() {
    for last in [Step::Admitted, Step::ContentStaged, Step::MarkStaged] {
        let (_dir, file) = file();
        file.write(101, b"old").expect("admitted");
        die_after(&file, last, 105, b"died");
        file.write(101, b"more").expect("nothing later was written");
        assert_eq!(content(&file), b"more", "{last:?}");
    }
}

/// The lock spans all of it: else a later hold could write between the comparison and the change.
#[test]
fn nobody_else_writes_between_any_two_steps() {
    let (_dir, file) = file();
    let mut steps = Vec::new();
    let write = file.replace(105, Some(b"new"), &mut |step| {
        let other = file.write(107, b"other");
        assert!(
            matches!(other, Err(FencedFileError::Busy { .. })),
            "{step:?}"
        );
        steps.push(step);
        Ok(())
    });
    write.expect("admitted");
    assert_eq!(steps, STEPS);
    file.write(107, b"other").expect("free again");
}

#[test]
fn a_reader_beside_a_writer_sees_a_whole_content_that_its_token_covers() {
    let (_dir, file) = file();
    file.write(101, b"old").expect("admitted");
    let write = file.replace(105, Some(b"new"), &mut |step| {
        match file.read(102) {
            Ok(read) => assert_eq!(read.as_deref(), Some(&b"old"[..]), "{step:?}"),
            Err(FencedFileError::Refused { .. }) => {
                assert!([Step::MarkRaised, Step::Replaced].contains(&step));
            }
            Err(error) => panic!("{step:?}: {error}"),
        }
        Ok(())
    });
    write.expect("admitted");
}

#[test]
fn a_damaged_mark_is_refused_and_left_alone() {
    let long = "1".repeat(1_000_000);
    for damaged in [
        "",
        "105",
        "x\n",
        "-1\n",
        "104\n",
        "99999999999999999999\n",
        &long,
    ] {
        let (_dir, file) = file();
        fs::write(&file.mark, damaged).expect("written");
        let refused = file.write(105, b"new").expect_err("damaged");
        assert!(matches!(refused, FencedFileError::Damaged { .. }));
        assert!(!file.content.exists());
        assert_eq!(fs::read(&file.mark).expect("there"), damaged.as_bytes());
    }
    let (_dir, file) = file();
    fs::write(&file.mark, [0xff, 0xfe, b'\n']).expect("written");
    assert!(matches!(file.mark(), Err(FencedFileError::Damaged { .. })));
}

#[test]
fn the_longest_mark_is_found_again() {
    let (_dir, file) = file();
    file.write(u64::MAX, b"last").expect("admitted");
    assert_eq!(file.mark().expect("sound").highest(), u64::MAX);
}

#[test]
fn a_path_without_a_name_is_refused_and_one_without_a_directory_is_here() {
    for path in ["", "/", "..", "a/.."] {
        let refused = FencedFile::new(path);
        assert!(
            matches!(refused, Err(FencedFileError::NoName { .. })),
            "{path}"
        );
    }
    let here = FencedFile::new("data").expect("a name");
    assert_eq!(here.dir, Path::new("."));
}

#[test]
fn a_directory_that_is_missing_is_said() {
    let (dir, _) = file();
    let file = FencedFile::new(dir.path().join("missing/data")).expect("a name");
    let error = file.write(105, b"").expect_err("missing").to_string();
    assert!(error.contains("missing/data.lock"), "{error}");
}
