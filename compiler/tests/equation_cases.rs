//! The calculus on the operators of networks: canonical pieces mean what was written, derived gradients equal finite
//! differences, and every equation is found to be what it should be.

use crate::equation::{Case, Random, parse};
use vsr_compiler::equation::classify::classify;
use vsr_compiler::equation::{Equation, Pos};

/// name, equation, tensors, ranges
const CASES: &[(&str, &str, &str, &str)] = &[
    (
        "conv2d 3x3",
        "y[b,o,i,j] = sum[c,p,q] k[o,c,p,q]*~x[b,c,i+p-1,j+q-1]",
        "x=2,4,6,7 k=6,4,3,3",
        "i=6 j=7",
    ),
    (
        "conv2d 3x3 s2",
        "y[b,o,i,j] = sum[c,p,q] k[o,c,p,q]*~x[b,c,2*i+p-1,2*j+q-1]",
        "x=2,4,8,8 k=6,4,3,3",
        "i=4 j=4",
    ),
    (
        "conv2d 3x3 s2 odd",
        "y[b,o,i,j] = sum[c,p,q] k[o,c,p,q]*~x[b,c,2*i+p-1,2*j+q-1]",
        "x=2,4,7,9 k=6,4,3,3",
        "i=4 j=5",
    ),
    (
        "patch embedding 4x4 s4",
        "y[b,o,i,j] = sum[c,p,q] k[o,c,p,q]*x[b,c,4*i+p,4*j+q]",
        "x=2,4,8,8 k=6,4,4,4",
        "i=2 j=2",
    ),
    (
        "conv2d 1x1 s2",
        "y[b,o,i,j] = sum[c,p,q] k[o,c,p,q]*x[b,c,2*i+p,2*j+q]",
        "x=2,4,7,7 k=6,4,1,1",
        "i=4 j=4",
    ),
    (
        "conv2d 5x5 s3 p2",
        "y[b,o,i,j] = sum[c,p,q] k[o,c,p,q]*~x[b,c,3*i+p-2,3*j+q-2]",
        "x=2,4,9,8 k=6,4,5,5",
        "i=3 j=3",
    ),
    (
        "conv2d dilation 2",
        "y[b,o,i,j] = sum[c,p,q] k[o,c,p,q]*~x[b,c,i+2*p-2,j+2*q-2]",
        "x=2,4,8,8 k=6,4,3,3",
        "i=8 j=8",
    ),
    (
        "conv2d s2 dilation 3",
        "y[b,o,i,j] = sum[c,p,q] k[o,c,p,q]*~x[b,c,2*i+3*p-3,2*j+3*q-3]",
        "x=2,4,11,9 k=6,4,3,3",
        "i=6 j=5",
    ),
    (
        "conv2d s2 dilation 2",
        "y[b,o,i,j] = sum[c,p,q] k[o,c,p,q]*~x[b,c,2*i+2*p-2,2*j+2*q-2]",
        "x=2,4,9,9 k=6,4,3,3",
        "i=5 j=5",
    ),
    (
        "conv2d grouped s2",
        "y[b,o,i,j] = sum[c,p,q] k[o,c,p,q]*~x[b,o//2*2+c,2*i+p-1,2*j+q-1]",
        "x=2,4,8,8 k=4,2,3,3",
        "i=4 j=4",
    ),
    (
        "conv2d depthwise",
        "y[b,o,i,j] = sum[c,p,q] k[o,c,p,q]*~x[b,o//1*1+c,i+p-1,j+q-1]",
        "x=2,4,6,6 k=4,1,3,3",
        "i=6 j=6",
    ),
    (
        "conv3d",
        "y[b,o,t,i,j] = sum[c,a,p,q] k[o,c,a,p,q]*~x[b,c,t+a-1,i+p-1,j+q-1]",
        "x=1,3,4,5,4 k=4,3,3,3,3",
        "t=4 i=5 j=4",
    ),
    (
        "conv3d s122",
        "y[b,o,t,i,j] = sum[c,a,p,q] k[o,c,a,p,q]*~x[b,c,t+a-1,2*i+p-1,2*j+q-1]",
        "x=1,3,4,6,4 k=4,3,3,3,3",
        "t=4 i=3 j=2",
    ),
    (
        "conv3d s2",
        "y[b,o,t,i,j] = sum[c,a,p,q] k[o,c,a,p,q]*~x[b,c,2*t+a-1,2*i+p-1,2*j+q-1]",
        "x=1,3,4,6,4 k=4,3,3,3,3",
        "t=2 i=3 j=2",
    ),
    (
        "conv1d s2",
        "y[b,o,i] = sum[c,p] k[o,c,p]*~x[b,c,2*i+p-1]",
        "x=2,4,11 k=6,4,3",
        "i=6",
    ),
    (
        "conv transposed s2",
        "y[b,o,i] = sum[c,j] x[b,c,j]*~k[c,o,i+1-2*j]",
        "x=2,3,5 k=3,4,4",
        "i=10",
    ),
    (
        "conv transposed s3",
        "y[b,o,i] = sum[c,j] x[b,c,j]*~k[c,o,i-3*j]",
        "x=2,3,5 k=3,4,4",
        "i=16",
    ),
    (
        "linear",
        "y[b,n,o] = sum[k] x[b,n,k]*w[o,k]",
        "x=2,5,6 w=7,6",
        "",
    ),
    (
        "linformer projection",
        "y[b,m,r,d] = sum[n] e[r,n]*k[b,m,n,d]",
        "e=5,12 k=2,3,12,4",
        "",
    ),
    (
        "attention scores",
        "y[b,m,n,r] = sum[d] q[b,m,n,d]*k[b,m,r,d]/2.5",
        "q=2,3,6,4 k=2,3,5,4",
        "",
    ),
    (
        "attention values",
        "y[b,m,n,d] = sum[r] p[b,m,n,r]*v[b,m,r,d]",
        "p=2,3,6,5 v=2,3,5,4",
        "",
    ),
    ("gram matrix", "y[i,j] = sum[k] x[i,k]*x[j,k]", "x=4,6", ""),
    (
        "temporal fusion",
        "y[b,c,i,j] = sum[t] w[b,t,i,j]*f[b,c,t,i,j]",
        "w=2,3,4,4 f=2,5,3,4,4",
        "",
    ),
    (
        "pixel shuffle",
        "y[b,c,i,j] = x[b,c*4+(i%2)*2+j%2,i//2,j//2]",
        "x=2,12,3,4",
        "b=2 c=3 i=6 j=8",
    ),
    (
        "pixel unshuffle",
        "y[b,c,i,j] = x[b,c//4,i*2+(c%4)//2,j*2+c%2]",
        "x=2,3,6,8",
        "c=12 i=3 j=4",
    ),
    (
        "nearest x2",
        "y[b,c,i,j] = x[b,c,i//2,j//2]",
        "x=2,3,4,5",
        "i=8 j=10",
    ),
    ("nearest 5 to 8", "y[b,i] = x[b,(5*i)//8]", "x=2,5", "i=8"),
    (
        "nearest 31 to 53",
        "y[b,i] = x[b,(31*i)//53]",
        "x=2,31",
        "i=53",
    ),
    (
        "average pool 3 s2 p1",
        "y[b,c,i,j] = sum[p,q] ~x[b,c,2*i+p-1,2*j+q-1]/9",
        "x=2,3,8,8",
        "i=4 j=4 p=3 q=3",
    ),
    (
        "max pool 2",
        "y[b,c,i,j] = max[p,q] x[b,c,2*i+p,2*j+q]",
        "x=2,3,8,8",
        "i=4 j=4 p=2 q=2",
    ),
    (
        "max pool 3 s2",
        "y[b,c,i,j] = max[p,q] x[b,c,2*i+p,2*j+q]",
        "x=2,3,9,9",
        "i=4 j=4 p=3 q=3",
    ),
    (
        "min pool 2",
        "y[b,i] = min[p] x[b,2*i+p]",
        "x=2,8",
        "i=4 p=2",
    ),
    (
        "heads",
        "y[b,m,n,d] = x[b,m*4+d,n//4,n%4]",
        "x=2,8,3,4",
        "m=2 n=12 d=4",
    ),
    (
        "frames",
        "y[n,c,i,j] = x[n//3,c,n%3,i,j]",
        "x=2,4,3,2,2",
        "n=6",
    ),
    ("slice with a step", "y[i,j] = x[2*i+1,j]", "x=9,5", "i=4"),
    ("diagonal", "y[i] = x[i,i]", "x=5,5", ""),
    (
        "several reads of one tensor",
        "y[i] = x[i]*x[i+1]+x[0]",
        "x=7",
        "i=6",
    ),
    ("bias", "y[b,c,i] = x[b,c,i]+h[c]", "x=2,3,5 h=3", ""),
    ("softmax row", "y[s,n] = exp(x[s,n]-l[s])", "x=4,6 l=4", ""),
    ("lse", "y[s] = lse[m] x[s,m]", "x=4,6", ""),
    (
        "group mean",
        "y[b,k] = sum[c,i,j] x[b,k*3+c,i,j]/36",
        "x=2,6,3,4",
        "k=2 c=3",
    ),
    (
        "group variance",
        "y[b,k] = var[c,i,j] x[b,k*3+c,i,j]",
        "x=2,6,3,4",
        "k=2 c=3",
    ),
    (
        "group norm",
        "y[b,c,i] = (x[b,c,i]-m[b,c//3])/sqrt(v[b,c//3]*v[b,c//3]+0.1)*g[c]+h[c]",
        "x=2,6,5 m=2,2 v=2,2 g=6 h=6",
        "",
    ),
    (
        "unit rows",
        "y[s,c] = x[s,c]/max(sqrt(r[s]*r[s]+0.1),0.5)",
        "x=4,3 r=4",
        "",
    ),
    (
        "reflect padding",
        "y[b,i] = sel(i<2,~x[b,2-i],sel(i<9,~x[b,i-2],~x[b,14-i]))",
        "x=2,7",
        "i=11",
    ),
    (
        "replicate padding",
        "y[b,i] = x[b,min(max(i-2,0),6)]",
        "x=2,7",
        "i=11",
    ),
    (
        "concat",
        "y[n,c,i] = sel(c<3,~a[n,c,i],~b[n,c-3,i])",
        "a=2,3,4 b=2,2,4",
        "c=5",
    ),
    (
        "causal sum",
        "y[i] = sum[j] sel(j<=i,w[i,j]*x[j],0)",
        "x=6 w=6,6",
        "",
    ),
    (
        "bilinear x4, 0 outside",
        "y[b,i] = sum[m] sel(m<1,1-(2*i-3)%8*0.125,(2*i-3)%8*0.125)*~x[b,(2*i-3)//8+m]",
        "x=2,5",
        "i=20 m=2",
    ),
    (
        "window of a gaussian",
        "y[s,i] = sum[k] g[k]*x[s,i+k]",
        "x=3,12 g=5",
        "i=8",
    ),
    (
        "blocks of a cosine transform",
        "y[c,m,u] = sum[i] k[u,i]*z[c,8*m+i]",
        "k=8,8 z=3,16",
        "m=2",
    ),
    (
        "inverse cosine transform",
        "y[c,i] = sum[u] k[u,i%8]*h[c,i//8,u]",
        "k=8,8 h=3,2,8",
        "i=16",
    ),
    (
        "grid sample",
        "y[b,c,i] = sum[m] ((1-m)*(1-f[b,i])+m*f[b,i])*~x[b,c,floor(3*s[b,i]+2)+m]",
        "x=2,3,6 s=2,5 f=2,5",
        "m=2",
    ),
    (
        "deformable columns",
        "y[b,c,p,i] = sum[d] ((1-d)*(1-f[b,c//2,p,i])+d*f[b,c//2,p,i])*~x[b,c,floor(i+p-1+o[b,c//2,p,i])+d]",
        "x=1,4,6 o=1,2,3,6 f=1,2,3,6",
        "c=4 d=2",
    ),
    (
        "deformable convolution",
        "y[b,o,i] = sum[c,p] k[o,c,p]*m[b,(c//2)*3+p,i]*t[b,c,p,i]",
        "k=5,4,3 m=2,6,6 t=2,4,3,6",
        "",
    ),
    (
        "activations",
        "y[i] = tanh(x[i])+sqrt(exp(x[i]))+abs(x[i])+max(x[i],0)+pow(x[i],3)+erf(x[i])+sin(x[i])*cos(x[i])-log(x[i]*x[i]+1)",
        "x=9",
        "",
    ),
    (
        "floor and stop",
        "y[i] = x[i]*stop(x[i]-floor(x[i]*3))-floor(x[i])",
        "x=9",
        "",
    ),
    (
        "quotients",
        "y[i] = x[i]/(1+z[i]*z[i])-2/(3+x[i])",
        "x=9 z=9",
        "",
    ),
    (
        "powers of two tensors",
        "y[i] = pow(exp(x[i]),z[i])",
        "x=9 z=9",
        "",
    ),
];

fn cases() -> Vec<Case> {
    CASES
        .iter()
        .map(|(name, text, tensors, ranges)| parse(name, text, tensors, ranges))
        .collect()
}

#[test]
fn pieces_and_gradients_mean_what_was_written() {
    let mut random = Random(7);
    for case in cases() {
        if case.name != "floor and stop" {
            case.check(&mut random);
        }
    }
}

#[test]
fn floor_and_stop_pass_no_gradient() {
    let case = cases()
        .into_iter()
        .find(|c| c.name == "floor and stop")
        .expect("a case");
    let x = Random(3).tensors(&case.shapes);
    let y = case.value(&x);
    let dy = Random(4).tensor(&case.out);
    let g = case.gradients(&x, &y, &dy).remove(0);
    for i in 0..9 {
        let v = x[0].data[i];
        assert!((g.data[i] - dy.data[i] * (v - (v * 3.0).floor())).abs() < 1e-12);
    }
}

/// What becomes of every case: forward, then each operand's gradient; anchors with the number of pieces, and points.
#[test]
fn classes() {
    let mut table = String::new();
    for case in cases() {
        table += &format!("{}: {}\n", case.name, summary(&case.pieces()));
        for (operand, name) in case.operands.iter().enumerate() {
            let mut parts = vec![];
            for adjoint in case.adjoints() {
                for part in adjoint.parts.iter().filter(|p| p.operand == operand) {
                    parts.push(summary(&part.pieces));
                }
            }
            if !parts.is_empty() {
                table += &format!("    d{name}: {}\n", parts.join(" + "));
            }
        }
    }
    insta::assert_snapshot!(table);
}

fn summary(pieces: &[Equation]) -> String {
    let mut kinds: Vec<(String, usize)> = vec![];
    for p in pieces {
        let mut kind = format!("{:?}", classify(p).anchor);
        if !p.guards.is_empty() {
            kind += " guarded";
        }
        match kinds.iter_mut().find(|(k, _)| *k == kind) {
            Some((_, n)) => *n += 1,
            None => kinds.push((kind, 1)),
        }
    }
    let points: i64 = pieces.iter().map(Equation::points).sum();
    let kinds: Vec<String> = kinds
        .iter()
        .map(|(k, n)| {
            if *n == 1 {
                k.clone()
            } else {
                format!("{n} {k}")
            }
        })
        .collect();
    format!("{} ({points})", kinds.join(", "))
}

/// Only reads at computed positions scatter; no contraction keeps a guard.
#[test]
fn gradients_are_gathers_but_of_computed_reads() {
    for case in cases() {
        let mut computed = vec![false; case.operands.len()];
        for piece in case.pieces() {
            piece.for_each_read(false, &mut |r| {
                computed[r.operand] |= r.at.iter().any(|p| matches!(p, Pos::Computed(_)));
            });
        }
        for adjoint in case.adjoints() {
            for part in &adjoint.parts {
                assert_eq!(part.scatter, computed[part.operand], "{}", case.name);
            }
        }
    }
}

/// A strided convolution's gradients take no more points than the convolution itself.
#[test]
fn no_wasted_points() {
    for case in cases().iter().filter(|c| c.name.starts_with("conv")) {
        let forward: i64 = case.pieces().iter().map(Equation::points).sum();
        for adjoint in case.adjoints() {
            for part in &adjoint.parts {
                let points: i64 = part.pieces.iter().map(Equation::points).sum();
                assert!(
                    points <= forward * 5 / 3,
                    "{}: {points} points for {forward}",
                    case.name
                );
            }
        }
    }
}

#[test]
fn a_transposed_convolution_walks_its_taps_only() {
    let case = cases()
        .into_iter()
        .find(|c| c.name == "conv transposed s2")
        .expect("a case");
    assert_eq!(case.equation.points(), 2 * 4 * 10 * 3 * 5);
    let points: i64 = case.pieces().iter().map(Equation::points).sum();
    assert_eq!(points, 2 * 4 * 10 * 3 * 2);
}
