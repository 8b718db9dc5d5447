//! No text makes elaboration panic or hang: mutants of real networks, from a fixed seed. A check, which elaborates only a
//! sketch, agrees with elaboration on what is wrong.

use crate::sema;
use std::time::{Duration, Instant};
use vsr_compiler::sema::Options;

/// xorshift, so that a failure can be found again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

const TEXT: &str = r#"
op conv(x: [B, C, H, W], k: [O, C, P, Q], s: int = 1) -> [B, O, (H - P)//s + 1, (W - Q)//s + 1] kernel conv {
  y[b, o, i, j] = sum[c, p, q] k[o, c, p, q]*x[b, c, i*s + p, j*s + q] else 0
}
op norm(x: [...S, C], eps: float = 1e-5) -> [...S, C] {
  m[...s] = mean[c] x[...s, c]
  v[...s] = var[c] x[...s, c]
  y[...s, c] = (x[...s, c] - m[...s])/sqrt(v[...s] + eps)
}
op shuffle(x: [B, C*s*s, H, W], s: int) -> [B, C, H*s, W*s] {
  y[b, c, i, j] = x[b, c*s*s + (i % s)*s + j % s, i//s, j//s]
}
op soft(x: [...S]) -> [...S] = select(x > 0, x, 0.1*x) + floor(x + 0.5)
grad(y, dy) = 2*dy
op turn(x: [B, C, H, W], u: [B, H, W]) -> [B, C, H, W] {
  f[b, i, j] = floor(u[b, i, j]*3)
  y[b, c, i, j] = x[b, c, clamp(i + f[b, i, j], 0, H - 1), W - 1 - j]
}
block Layer(out: int, k: int = 3)(x: [B, C, H, W]) -> [B, out, H, W] {
  r = 1/sqrt(C*k*k)
  param weight: [out, C, k, k] = uniform(-r, r)
  state seen: [out] = 0
  if training { next seen = seen + 1 }
  p = k//2
  z[b, c, i in 0..H + 2*p, j in 0..W + 2*p] = x[b, c, i - p, j - p] else 0
  conv(z, weight) |> soft
}
model Net(width: int = 4, depth: int = 2)(x: [B, 3, H, W]) -> [B, 3, 2*H, 2*W] where H % 2 == 0 {
  h = x
  for i in 0..depth { h = h |> Layer(width) @layers.{i} }
  a, b = h |> split([width/2, width/2], axis=1)
  h = concat([a*b, stack([a[:, t] for t in 0..width/2], axis=1)], axis=1)
  h = h |> reshape([B, width, H*W]) |> transpose(1, 2) |> norm |> transpose(-1, -2) |> reshape([B, width, H, W])
  h = turn(h, h[:, 0]) |> Layer(12) @last |> shuffle(2)
  clamp(h, 0, 1)
}
train net(depth: int = 1) = Net(depth=depth) {
  epochs = 2
  steps = 3
  optimizer = Adam()
  clip = 1.0
  rate = tune(1e-3, 1e-4, 1e-2)
  data y: [B, 3, 2*H, 2*W] = clips("data")
  x = resize(y, H, W, "bicubic", antialias=true) + 0.01*randn([B, 3, H, W])
  metric pixel = l1(net(x), y)
  loss = pixel
}
profile train { B = 2  H = 8  W = 6 }
profile tile { B = 1  H = 8  W = 10 }
"#;

/// Words and signs.
fn tokens(text: &str) -> Vec<String> {
    let mut all: Vec<String> = vec![];
    let mut last = ' ';
    for c in text.chars() {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        match all.last_mut() {
            Some(token) if word(c) && word(last) => token.push(c),
            _ => all.push(c.to_string()),
        }
        last = c;
    }
    all
}

fn mutant(tokens: &[String], dice: &mut Dice) -> String {
    let mut tokens = tokens.to_vec();
    let numbers = [
        "0",
        "1",
        "-1",
        "2",
        "7",
        "64",
        "1000000000",
        "9223372036854775807",
        "0.5",
        "1e300",
    ];
    for _ in 0..1 + dice.roll(3) {
        let (at, other) = (dice.roll(tokens.len()), dice.roll(tokens.len()));
        match dice.roll(5) {
            0 => tokens[at] = tokens[other].clone(),
            1 => tokens.swap(at, other),
            2 => drop(tokens.remove(at)),
            3 => tokens.insert(at, tokens[other].clone()),
            _ => {
                let places: Vec<usize> = (0..tokens.len())
                    .filter(|t| tokens[*t].starts_with(|c: char| c.is_ascii_digit()))
                    .collect();
                tokens[places[dice.roll(places.len())]] = numbers[dice.roll(numbers.len())].into();
            }
        }
    }
    tokens.concat()
}

#[test]
fn mutants_end_in_a_graph_or_in_errors() {
    assert!(sema::run(&[("net.vsr", TEXT)], "net.vsr", &Options::default()).is_ok());
    let count = std::env::var("MUTANTS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(60);
    let seed = std::env::var("MUTANT_SEED")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0x9E37_79B9_7F4A_7C15);
    let (tokens, mut dice) = (tokens(TEXT), Dice(seed));
    let mut fine = 0;
    for at in 0..count {
        let text = mutant(&tokens, &mut dice);
        let start = Instant::now();
        let result = std::panic::catch_unwind(|| {
            sema::run(&[("net.vsr", &text)], "net.vsr", &Options::default())
        });
        match result {
            Ok(Ok(_)) => {
                fine += 1;
                let checked = sema::checked(&[("net.vsr", &text)], "net.vsr");
                assert_eq!(checked, "", "mutant {at} compiles:\n{text}");
            }
            Ok(Err(shown)) => {
                assert!(shown.starts_with("error"), "{shown}");
                let checked = sema::checked(&[("net.vsr", &text)], "net.vsr");
                assert!(checked.starts_with("error"), "mutant {at}: {shown}\n{text}");
            }
            Err(_) => panic!("mutant {at} panics:\n{text}"),
        }
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "mutant {at} takes too long:\n{text}"
        );
    }
    assert!(
        fine > 0 && fine < count,
        "{fine} of {count} mutants are fine"
    );
}

#[test]
fn every_network_checks_without_problems() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");
    let mut n_files = 0;
    for entry in std::fs::read_dir(folder).expect("the folder reads") {
        let name = entry.expect("the folder lists").file_name();
        let path = format!("models/{}", name.to_string_lossy());
        assert_eq!(sema::checked(&[], &path), "", "{path}");
        n_files += 1;
    }
    assert!(n_files >= 10, "{n_files} networks");
}
