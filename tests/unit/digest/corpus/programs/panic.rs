// An assertion, with a backtrace when RUST_BACKTRACE says so.
fn width(n: usize) -> usize {
    assert_eq!(n, 8, "ranks must be eight");
    n
}
fn main() {
    println!("step 1 loss 2.31");
    println!("{}", width(7));
}
