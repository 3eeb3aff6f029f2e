//! The `sim` command.

fn main() -> std::process::ExitCode {
    sim::cli::main()
}
