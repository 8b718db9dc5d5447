//! A loaded artifact as networks for frames. Enters: a session. Leaves: its `infer` entries that take frames, and runs
//! of them. No tiling here.

use super::{Form, Network, Networks, Shape, TileOptions};
use crate::error::Error;
use crate::session::Session;
use crate::video::{MediaError, Result};
use vsr_artifact::manifest::{Entry, Port};

pub struct SessionNetworks<'a> {
    session: &'a mut Session,
    shapes: Vec<Shape>,
    /// Entry of each shape, with the names and shapes of its ports.
    ports: Vec<Ports>,
    selected: usize,
    seed: u64,
}

struct Ports {
    entry: usize,
    input: (String, Vec<usize>),
    output: (String, Vec<usize>),
}

impl<'a> SessionNetworks<'a> {
    /// `profile` keeps only one; empty keeps all.
    pub fn new(session: &'a mut Session, profile: &str, seed: u64) -> Result<SessionNetworks<'a>> {
        let (mut shapes, mut ports) = (Vec::new(), Vec::new());
        let mut last_refusal = MediaError::user("this artifact has no infer entry");
        for (index, entry) in session.manifest().entries.iter().enumerate() {
            if entry.name != "infer" || !(profile.is_empty() || entry.profile == profile) {
                continue;
            }
            match describe(index, entry) {
                Ok((shape, port)) => {
                    shapes.push(shape);
                    ports.push(port);
                }
                Err(refusal) => last_refusal = refusal,
            }
        }
        if shapes.is_empty() {
            if !profile.is_empty() {
                last_refusal = MediaError::user(format!(
                    "this artifact has no infer entry of profile {profile} that takes frames"
                ));
            }
            return Err(last_refusal);
        }
        Ok(SessionNetworks {
            session,
            shapes,
            ports,
            selected: 0,
            seed,
        })
    }

    /// How to tile, and how much to enlarge first: only luma networks that keep the size want that.
    pub fn options(&self, overlap: usize, scale: Option<usize>) -> Result<TileOptions> {
        let form = &self.shapes[0].form;
        let enlarges_itself = form.scale > 1 || form.channels == 3;
        if enlarges_itself {
            return match scale {
                Some(wanted) if wanted != form.scale => Err(MediaError::user(format!(
                    "this network enlarges x{}: compile it with --set scale={wanted} for another scale",
                    form.scale
                ))),
                _ => Ok(TileOptions {
                    overlap,
                    enlarge_first: 1,
                }),
            };
        }
        let parameter = self
            .session
            .manifest()
            .model
            .parameters
            .get("scale")
            .and_then(|s| s.parse().ok());
        Ok(TileOptions {
            overlap,
            enlarge_first: scale.or(parameter).unwrap_or(4).clamp(1, 16),
        })
    }
}

fn describe(index: usize, entry: &Entry) -> Result<(Shape, Ports)> {
    let sizes = |p: &Port| {
        (
            p.name.clone(),
            p.shape.iter().map(|&n| n as usize).collect::<Vec<_>>(),
        )
    };
    let tensors: Vec<&Port> = entry
        .inputs
        .iter()
        .filter(|p| !p.shape.is_empty())
        .collect();
    let ([input], Some(output)) = (&tensors[..], entry.outputs.first()) else {
        return Err(MediaError::user(format!(
            "the network takes {} tensors, and upscaling gives it frames alone",
            tensors.len()
        )));
    };
    let (input, output) = (sizes(input), sizes(output));
    let form = Form::new(&input.1, &output.1)?;
    let field = entry
        .field
        .map(|f| [0, 1].map(|axis| (f.halo[axis] as usize, f.stride[axis].max(1) as usize)));
    let shape = Shape {
        profile: entry.profile.clone(),
        form,
        field,
        flops: entry.flops,
    };
    Ok((
        shape,
        Ports {
            entry: index,
            input,
            output,
        },
    ))
}

impl Networks for SessionNetworks<'_> {
    fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    fn select(&mut self, index: usize) -> &mut dyn Network {
        self.selected = index;
        self
    }
}

impl Network for SessionNetworks<'_> {
    fn input_shape(&self) -> &[usize] {
        &self.ports[self.selected].input.1
    }

    fn output_shape(&self) -> &[usize] {
        &self.ports[self.selected].output.1
    }

    fn field(&self) -> Option<[(usize, usize); 2]> {
        self.shapes[self.selected].field
    }

    fn run(&mut self, input: &[f32]) -> Result<&[f32]> {
        let Ports {
            entry,
            input: (name, _),
            output,
        } = &self.ports[self.selected];
        self.session
            .run(*entry, &[(name, input)], self.seed, 0)
            .map_err(to_media)?;
        Ok(self.session.output(*entry, &output.0))
    }
}

/// The session's errors pass through frames code unchanged in kind.
fn to_media(error: Error) -> MediaError {
    match error {
        Error::Media(e) => e,
        Error::Interrupted => MediaError::Interrupted,
        e if e.exit_code() == 1 => MediaError::User(e.to_string()),
        e => MediaError::Machine(e.to_string()),
    }
}
