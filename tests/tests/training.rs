//! Compiled training steps whose numbers are known by hand: gradients through a frozen network, running means of weights.

use std::collections::BTreeMap;
use std::path::Path;

use vsr_runtime::tensors::{self, View};
use vsr_runtime::weights::Scope;
use vsr_tests::{Opened, open_text};

/// A line through zero, `gain`, then a frozen line; its loss is the mean of what comes out.
const TEXT: &str = "
model Line()(x: [B, N]) -> [B, N] {
  param gain: [N] = 1
  y[b, n] = gain[n]*x[b, n]
}
frozen line = Line() from \"line.safetensors\"
model Own()(x: [B, N]) -> [B, N] {
  param gain: [N] = 1
  y[b, n] = gain[n]*x[b, n]
}
block Descent()(w: [...S], g: [...S], rate: []) -> [...S] = w - rate*g
train own = Own() {
  epochs = 1
  steps = 1
  optimizer = Descent()
  rate = 0.5
  ema = 0.75
  data x: [B, N] = clips(\"data\")
  loss = mean(line(own(x)))
}
profile train { B = 1  N = 2 }
";

fn opened(folder: &Path) -> Opened {
    let (shape, data) = ([2u64], [3.0f32, -5.0]);
    let view = View {
        name: "gain",
        shape: &shape,
        data: &data,
    };
    tensors::write(&folder.join("line.safetensors"), &[view], &BTreeMap::new())
        .expect("a weight file");
    let path = folder.join("own.vsr");
    std::fs::write(&path, TEXT).expect("a text");
    open_text(&path, "own", 1)
}

#[test]
fn gradients_pass_through_a_frozen_network_and_means_are_what_is_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut opened = opened(folder.path());
    let s = &mut opened.session;
    s.init_weights(0).unwrap();
    let (train, eval) = (
        s.find("train", "").expect("train"),
        s.find("eval", "").expect("eval"),
    );
    let x = [1.0f32, 2.0];
    // Before the first step the mean is the weight itself.
    s.run(eval, &[("x", &x)], 0, 0).expect("eval runs");
    assert_eq!(s.output(eval, "loss"), [(3.0 - 10.0) / 2.0]);

    // d loss / d gain = x * frozen / 2 = [1.5, -5], at rate 0.5.
    s.run(train, &[("x", &x)], 0, 0).expect("a step");
    assert_eq!(s.weight("gain").expect("its numbers"), [0.25, 3.5]);
    assert_eq!(s.weight("line:gain").expect("its numbers"), [3.0, -5.0]);
    assert_eq!(
        s.weight("ema.gain").expect("its numbers"),
        [0.25, 3.5],
        "the mean starts at the first new value"
    );
    s.run(train, &[("x", &x)], 0, 1).expect("a step");
    assert_eq!(s.weight("gain").expect("its numbers"), [-0.5, 6.0]);
    let mean = [0.75 * 0.25 - 0.25 * 0.5, 0.75 * 3.5 + 0.25 * 6.0];
    assert_eq!(s.weight("ema.gain").expect("its numbers"), mean);

    // What is measured after an epoch are the means.
    s.swap_means().expect("they are there");
    s.run(eval, &[("x", &x)], 0, 0).expect("eval runs");
    s.swap_means().expect("they are there");
    assert_eq!(
        s.output(eval, "loss"),
        [(3.0 * mean[0] - 10.0 * mean[1]) / 2.0]
    );
    let saved = folder.path().join("own.safetensors");
    s.save_weights(&saved, Scope::Model, &BTreeMap::new())
        .expect("it saves");
    let file = tensors::read(&saved).expect("it reads");
    assert_eq!(file.tensors.keys().collect::<Vec<_>>(), ["gain"]);
    assert_eq!(file.tensors["gain"].data, mean);

    // What was saved is what is measured from then on.
    s.load_weights(&saved, Scope::Model).expect("it loads");
    assert_eq!(
        (
            s.weight("gain").expect("its numbers"),
            s.weight("ema.gain").expect("its numbers")
        ),
        (mean.to_vec(), mean.to_vec())
    );
    s.run(eval, &[("x", &x)], 0, 0).expect("eval runs");
    assert_eq!(
        s.output(eval, "loss"),
        [(3.0 * mean[0] - 10.0 * mean[1]) / 2.0]
    );
}
