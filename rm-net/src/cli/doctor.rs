//! `rmctl doctor`: to be written.
use super::args::DoctorArgs;
use super::exit::{Exit, Failure};
use super::output::Output;

pub(crate) async fn run(_: &[String], _: &DoctorArgs, _: Output) -> Result<Exit, Failure> {
    Ok(Exit::OK)
}
