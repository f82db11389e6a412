// crash.rs -- a Rust tokenizer that unwraps what is not there.
use std::collections::HashMap;

fn id_of(vocab: &HashMap<&str, u32>, token: &str) -> u32 {
    *vocab.get(token).expect("token is in the vocabulary")
}

fn main() {
    println!("tokenizing");
    let vocab = HashMap::from([("a", 1)]);
    println!("{}", id_of(&vocab, "zebra"));
}
