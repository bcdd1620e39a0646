#![no_main]
#![expect(missing_docs, reason = "a program of the fuzzer")]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rm_fuzz::texts::run(bytes));
