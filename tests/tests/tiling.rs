//! Tiles of compiled networks: where the compiler says that the field is finite, any tiling gives the bits of the whole
//! frame; where it is not, two tilings agree as far as blending can make them.

use std::path::Path;
use vsr_compiler::backend::Target;
use vsr_compiler::diag::{Problems, Sources};
use vsr_compiler::pass_manager::PassManager;
use vsr_compiler::pipeline;
use vsr_compiler::sema::{Loader, Options};
use vsr_runtime::metrics::resize::imresize_rgb;
use vsr_runtime::metrics::{channels, psnr};
use vsr_runtime::session::{self, Session};
use vsr_runtime::upscale::session::SessionNetworks;
use vsr_runtime::upscale::{Networks, TileOptions, Upscaler, stream};
use vsr_runtime::video::{Frame, open_reader};
use vsr_runtime::weights::Scope;
use vsr_tests::root;

/// The repository's files, VDSR with profiles of its own.
#[derive(Default)]
struct Files(Sources);

impl Loader for Files {
    fn read(&mut self, path: &str) -> Result<String, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let text = std::fs::read_to_string(root.join(path)).map_err(|e| e.to_string())?;
        let more = "\nprofile whole { B = 1  H = 60  W = 76 }\nprofile tile { B = 1  H = 32  W = 28 }\nprofile pair { B = 2  H = 24  W = 40 }\n";
        Ok(if path.ends_with("vdsr.vsr") {
            text + more
        } else {
            text
        })
    }

    fn exists(&mut self, path: &str) -> bool {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(path)
            .is_file()
    }

    fn sources(&mut self) -> &mut Sources {
        &mut self.0
    }
}

fn compiled(folder: &Path) -> Session {
    let set = [("width", "16"), ("depth", "5")].map(|(n, v)| (n.to_string(), v.to_string()));
    let profiles = ["whole", "tile", "pair"].map(str::to_string);
    let options = Options {
        name: None,
        profiles: profiles.to_vec(),
        set: set.to_vec(),
    };
    let (mut files, mut problems) = (Files::default(), Problems::new());
    let result = pipeline::compile(
        &mut files,
        "models/vdsr.vsr",
        &options,
        Target::X86_64V3,
        &mut PassManager::default(),
        &mut problems,
    );
    let artifact = result
        .unwrap_or_else(|| panic!("{}", problems.render(files.sources())))
        .artifact;
    vsr_artifact::write(folder, &artifact).expect("a temporary folder takes an artifact");
    Session::open(
        folder,
        session::Options {
            threads: 2,
            ..Default::default()
        },
    )
    .expect("it was written just now")
}

#[test]
fn vdsr_in_tiles_is_vdsr_whole_bit_for_bit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut session = compiled(folder.path());
    session.init_weights(3).unwrap();
    // The last convolution starts at zero: fill everything, so that a seam would show.
    for weight in session.manifest().weights.clone() {
        let n = weight.shape.iter().product::<u64>() as usize;
        let values: Vec<f32> = (0..n)
            .map(|i| ((i * 2654435761 % 1013) as f32 / 1013.0 - 0.5) * 0.3)
            .collect();
        session
            .set_weight(&weight.key, &values)
            .expect("a weight of its own shape");
    }
    let rgb: Vec<u8> = (0..60 * 76 * 3).map(|i| (i * 7919 % 253) as u8).collect();
    let frame = Frame {
        width: 76,
        height: 60,
        rgb,
        time: 0,
        duration: 1,
    };
    let mut networks =
        SessionNetworks::new(&mut session, "", 0).expect("pictures in, pictures out");
    let shapes = networks.shapes().to_vec();
    assert!(
        shapes.iter().all(|s| s.field == Some([(5, 1); 2])),
        "{shapes:?}"
    );
    let mut result = |profile: &str| {
        let index = shapes
            .iter()
            .position(|s| s.profile == profile)
            .expect("compiled above");
        let mut upscaler = Upscaler::new(networks.select(index), 76, 60, TileOptions::default())
            .expect("tiles fit");
        assert!(upscaler.is_exact());
        (
            upscaler.n_tiles(),
            upscaler.unrounded(vec![frame.clone()]).expect("it runs"),
        )
    };
    let (n, whole) = result("whole");
    assert_eq!(n, 1);
    for profile in ["tile", "pair"] {
        let (n, tiled) = result(profile);
        assert!(n >= 6);
        let differing = whole[0]
            .iter()
            .zip(&tiled[0])
            .filter(|(a, b)| a.to_bits() != b.to_bits())
            .count();
        assert_eq!(differing, 0, "{profile}: {n} tiles");
    }
}

/// The flagship with its shipped weights: tiles of two shapes, with seams at other places, agree on a real clip.
#[test]
fn two_tilings_of_the_flagship_agree() {
    let clip = root().join("examples/demo/clip/bigbuckbunny.mp4");
    let frames = small_frames(&clip, 5, 3);
    let [a, b] = [("64", "64", 16), ("56", "80", 24)].map(|(height, width, overlap)| {
        let set = [("ch", "24"), ("blocks", "6"), ("H", height), ("W", width)];
        let set = set.map(|(n, v)| (n.to_string(), v.to_string()));
        let mut opened = vsr_tests::open("models/vsr.vsr", &["tile"], &set, 2);
        let weights = root().join("examples/demo/weights/vsr-ch24.safetensors");
        let loaded = opened.session.load_weights(&weights, Scope::Model);
        loaded.expect("the shipped weights fit");
        middle_frame(&mut opened.session, overlap, &frames)
    });
    let db = agreement(&a, &b);
    println!("{db:.1} dB between two tilings");
    assert!(db >= 45.0, "{db:.1} dB between two tilings");
    let bicubic = imresize_rgb(
        &frames[1].rgb,
        (frames[1].width, frames[1].height),
        (a.width, a.height),
    );
    let far = agreement(
        &a,
        &Frame {
            rgb: bicubic,
            ..a.clone()
        },
    );
    assert!(
        far < 45.0,
        "{far:.1} dB to bicubic: the network does something"
    );
}

/// The first frames of a film, made smaller.
fn small_frames(path: &Path, by: usize, n: usize) -> Vec<Frame> {
    let mut reader = open_reader(path).expect("a film");
    let mut next = || {
        let frame = reader
            .next_frame()
            .expect("a frame")
            .expect("enough of them");
        let (width, height) = (frame.width / by, frame.height / by);
        let rgb = imresize_rgb(&frame.rgb, (frame.width, frame.height), (width, height));
        Frame {
            width,
            height,
            rgb,
            ..frame
        }
    };
    (0..n).map(|_| next()).collect()
}

/// The result for the middle one of the frames, as a film would hold it.
fn middle_frame(session: &mut Session, overlap: usize, frames: &[Frame]) -> Frame {
    let mut networks = SessionNetworks::new(session, "", 0).expect("frames in, frames out");
    let options = TileOptions {
        overlap,
        ..TileOptions::default()
    };
    let (w, h) = (frames[0].width, frames[0].height);
    let mut upscaler = Upscaler::new(networks.select(0), w, h, options).expect("tiles fit");
    assert!(
        !upscaler.is_exact() && upscaler.n_tiles() >= 12,
        "{}",
        upscaler.n_tiles()
    );
    let (mut given, mut taken) = (frames.iter(), vec![]);
    let next = || Ok(given.next().cloned());
    stream(&mut upscaler, next, |frame| {
        taken.push(frame);
        Ok(())
    })
    .expect("it runs");
    assert_eq!(taken.len(), frames.len());
    taken.swap_remove(frames.len() / 2)
}

/// PSNR of all three channels, in dB.
fn agreement(a: &Frame, b: &Frame) -> f64 {
    let planes = |f: &Frame| channels(&f.rgb, f.width, f.height);
    psnr(&planes(a), &planes(b))
}
