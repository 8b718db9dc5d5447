//! VGG16 with the weights that were trained on ImageNet, on a photograph, in native code.
//!
//! Enters: `tests/goldens/networks/vgg16-imagenet.safetensors` (`make_vgg16.py` beside it): a piece of a photograph, the first
//! two layers' weights, values of all thirteen. The other weights are too large to be here: what needs them is ignored, and
//! fails when it is asked for without them. `tests/peers/README.md` says where they are.

use std::path::PathBuf;

use safetensors::{Dtype, SafeTensors};
use vsr_runtime::weights::Scope;
use vsr_tests::{Opened, artifact_of, open_artifact, open_text, root};
use vsr_weightfile::Mapped;

const TAPS: [usize; 13] = [1, 3, 6, 8, 11, 13, 15, 18, 20, 22, 25, 27, 29];
const HEIGHT: usize = 96;
const WIDTH: usize = 128;

fn floats(data: &[u8]) -> Vec<f32> {
    let fours = data.as_chunks::<4>().0.iter();
    fours.map(|b| f32::from_le_bytes(*b)).collect()
}

fn with_golden<T>(then: impl FnOnce(&SafeTensors<'_>) -> T) -> T {
    let path = root().join("tests/goldens/networks/vgg16-imagenet.safetensors");
    let bytes = std::fs::read(path).expect("the golden file");
    then(&SafeTensors::deserialize(&bytes).expect("safetensors"))
}

/// Colours in [0, 1], as networks take them.
fn photograph(golden: &SafeTensors<'_>) -> Vec<f32> {
    let picture = golden.tensor("photograph").expect("the photograph");
    assert_eq!(picture.dtype(), Dtype::U8);
    assert_eq!(picture.shape(), [3, HEIGHT, WIDTH]);
    picture
        .data()
        .iter()
        .map(|b| f32::from(*b) / 255.0)
        .collect()
}

fn network(taps: &[usize]) -> Opened {
    let set = [
        ("caffe", "true".to_string()),
        ("taps", format!("{taps:?}")),
        ("B", "1".to_string()),
        ("H", HEIGHT.to_string()),
        ("W", WIDTH.to_string()),
    ];
    let set = set.map(|(name, value)| (name.to_string(), value));
    open_artifact(&artifact_of("models/vgg16.vsr", None, &[], &set), 2)
}

/// The stored values to 1e-5 of the largest of them; mean and root mean square, in which every value takes part, to 1e-5.
fn check_layer(golden: &SafeTensors<'_>, tap: usize, y: &[f32]) {
    let stored = |kind: &str| {
        let tensor = golden.tensor(&format!("{kind}.{tap}"));
        tensor.expect("a layer's tensor").data().to_vec()
    };
    let places = stored("at");
    let places = places.as_chunks::<4>().0.iter();
    let found: Vec<f32> = places.map(|b| y[i32::from_le_bytes(*b) as usize]).collect();
    let d = vsr_tests::distance(&found, &floats(&stored("y")));
    assert!(d < 1e-5, "layer {tap} is off by {d:.1e}");
    let n = y.len() as f64;
    let sum = |power: i32| y.iter().map(|x| f64::from(*x).powi(power)).sum::<f64>() / n;
    for (found, wanted) in [sum(1), sum(2).sqrt()]
        .into_iter()
        .zip(floats(&stored("size")))
    {
        let d = (found / f64::from(wanted) - 1.0).abs();
        assert!(d < 1e-5, "the size of layer {tap} is off by {d:.1e}");
    }
}

fn check(opened: &mut Opened, taps: &[usize]) {
    with_golden(|golden| {
        let x = photograph(golden);
        let session = &mut opened.session;
        session.run(0, &[("x", &x)], 0, 0).expect("it runs");
        for (at, tap) in taps.iter().enumerate() {
            check_layer(golden, *tap, session.output(0, &format!("output.{at}")));
        }
    });
}

#[test]
fn the_first_two_layers_agree_with_pytorch_on_a_photograph() {
    let mut opened = network(&[1, 3]);
    let weights = opened.session.manifest().weights.clone();
    with_golden(|golden| {
        for w in weights {
            // Layers behind the last tap have keys and no part in the result.
            if let Ok(tensor) = golden.tensor(&w.key) {
                let set = opened.session.set_weight(&w.key, &floats(tensor.data()));
                set.expect("the network's own key");
            }
        }
    });
    check(&mut opened, &[1, 3]);
}

/// The weights of `vgg16_weights.py`.
fn weights() -> PathBuf {
    let named = std::env::var_os("VSR_VGG16").map(PathBuf::from);
    let path = named.unwrap_or_else(|| root().join("models/weights/vgg16-caffe.safetensors"));
    assert!(
        path.is_file(),
        "there is no {}: tests/peers/README.md says how to make it; VSR_VGG16 may name another place",
        path.display()
    );
    path
}

/// Weights of three blocks, as they are published by those who load Keras's file of the original network and make sure
/// that they have it: key, place as [output, input, row, column], value.
const PUBLISHED: [(&str, &[u64], f32); 7] = [
    ("features.0.weight", &[0, 0, 0, 0], 0.429_470_57),
    ("features.0.bias", &[25], 0.744_650_2),
    ("features.2.weight", &[63, 63, 2, 2], 0.016_082_443),
    ("features.5.bias", &[1], 0.064_407_81),
    ("features.24.weight", &[269, 63, 1, 0], -0.011_236_359),
    ("features.26.bias", &[510], 0.235_172_26),
    ("features.28.weight", &[400, 0, 0, 2], -0.008_714_244),
];

#[test]
#[ignore = "needs the real weights, 59 MB: see tests/peers/README.md"]
fn the_weights_are_the_published_ones() {
    let file = Mapped::open(&weights()).expect("the weights open");
    for (key, place, wanted) in PUBLISHED {
        let tensor = file.tensor(key).expect("a weight");
        let axes = tensor.shape.iter().zip(place);
        let at = axes.fold(0, |at, (size, i)| at * size + i);
        let mut found = [0.0];
        file.copy(tensor, at as usize, &mut found);
        assert!((found[0] - wanted).abs() < 1e-8, "{key}: {}", found[0]);
    }
}

#[test]
#[ignore = "needs the real weights, 59 MB: see tests/peers/README.md"]
fn all_layers_agree_with_pytorch_on_a_photograph() {
    let mut opened = network(&TAPS);
    let loaded = opened.session.load_weights(&weights(), Scope::Model);
    loaded.expect("the network's own keys");
    check(&mut opened, &TAPS);
}

/// Means over `2*r + 1` pixels along both axes.
fn blurred(x: &[f32], r: usize) -> Vec<f32> {
    let along = |x: &[f32], step: usize, size: usize| -> Vec<f32> {
        let mean = |at: usize| {
            let i = at / step % size;
            let near = i.saturating_sub(r)..(i + r + 1).min(size);
            let n = near.len() as f32;
            near.map(|j| x[at + j * step - i * step]).sum::<f32>() / n
        };
        (0..x.len()).map(mean).collect()
    };
    along(&along(x, 1, WIDTH), WIDTH, HEIGHT)
}

/// The flagship's own term, which is there as soon as the file is.
#[test]
#[ignore = "needs the real weights, 59 MB: see tests/peers/README.md"]
fn the_flagships_perceptual_term_is_zero_for_equal_pictures_and_grows_with_blur() {
    let folder = tempfile::tempdir().expect("a folder");
    let models = folder.path().join("models");
    std::fs::create_dir_all(models.join("weights")).expect("a folder for the weights");
    for entry in std::fs::read_dir(root().join("models")).expect("the models") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "vsr") {
            let to = models.join(path.file_name().expect("a name"));
            std::fs::copy(&path, to).expect("a copy");
        }
    }
    let place = models.join("weights/vgg16-caffe.safetensors");
    std::fs::copy(weights(), place).expect("a copy of the weights");
    let text = format!(
        "use perceptual from \"models/vsr.vsr\"
model Distance()(a: [B, 3, H, W], b: [B, 3, H, W]) -> [] = perceptual(a, b)
profile photo {{ B = 1  H = {HEIGHT}  W = {WIDTH} }}
"
    );
    let path = folder.path().join("distance.vsr");
    std::fs::write(&path, text).expect("the text is written");
    let mut opened = open_text(&path, "Distance", 2);
    let sharp = with_golden(photograph);
    let mut last = -1.0;
    for r in [0, 1, 2, 4] {
        let soft = blurred(&sharp, r);
        let run = opened.session.run(0, &[("a", &soft), ("b", &sharp)], 0, 0);
        run.expect("it runs");
        let distance = opened.session.output(0, "output")[0];
        assert_eq!(distance == 0.0, r == 0, "blur of {r}: {distance}");
        assert!(distance > last, "blur of {r}: {distance}, less: {last}");
        last = distance;
    }
    // A blur this strong is no small matter, and none that drowns the other terms: torchvision's weights are alike.
    assert!((0.5..20.0).contains(&last), "{last}");
}
