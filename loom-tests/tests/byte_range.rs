//! The suite of the library on a range lock: ranges that overlap, in both modes, and one that is apart.

#![cfg(any(rm_loom, rm_shuttle))]

use rm_loom::subject::Subject;
use rm_types::byte_range::{ByteRangeType, RangeCredit};

rm_loom::models! { mod byte_range for resource Regions }

/// The regions of a file.
#[derive(Clone, Copy, Debug)]
struct Regions;

/// What is taken of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Region {
    ReadFront,
    WriteAll,
    WriteBack,
}

impl Subject for Regions {
    type Type = ByteRangeType;
    type Mode = Region;

    // The back is written while the front is read; all of it excludes both.
    const MODES: &'static [Region] = &[Region::ReadFront, Region::WriteAll, Region::WriteBack];

    fn resource_type() -> ByteRangeType {
        ByteRangeType::default()
    }

    fn level(region: Region, capital: &RangeCredit) -> RangeCredit {
        let (_, all) = capital.pieces().next().expect("a file has bytes");
        match region {
            Region::ReadFront => RangeCredit::new(0..10, 1),
            Region::WriteAll => RangeCredit::new(0..20, all),
            Region::WriteBack => RangeCredit::new(10..20, all),
        }
    }
}
