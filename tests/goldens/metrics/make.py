"""Writes metrics.json: luma, PSNR, SSIM and MATLAB-like bicubic of small pictures.

pip install numpy scikit-image pillow
python make.py

The bicubic is a dense matrix built here from its definition; away from the borders Pillow must agree with it.
SSIM comes from scikit-image with the settings of published tables.
"""

import json
import pathlib

import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity


def picture(width, height, seed):
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    smooth = (x * 5 + y * 3 + c * 40) % 256
    rough = ((x * 73 + y * 151 + c * 31 + seed * 17) * 2654435761 >> 7) % 64
    return (smooth * 3 // 4 + rough).astype(np.uint8)


def luma(rgb):
    return 16 + rgb.astype(np.float64) / 255 @ np.array([65.481, 128.553, 24.966])


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))


def ssim(a, b, **more):
    return structural_similarity(
        a, b, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, **more
    )


def cubic(x):
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))


def matrix(n_in, n_out):
    scale = n_out / n_in
    shrink = min(scale, 1)
    out = np.zeros((n_out, n_in))
    for o in range(n_out):
        centre = (o + 0.5) / scale - 0.5
        taps = np.arange(int(np.floor(centre - 2 / shrink)) - 1, int(np.ceil(centre + 2 / shrink)) + 2)
        weights = cubic(shrink * (centre - taps))
        weights /= weights.sum()
        for tap, weight in zip(taps, weights):
            folded = tap % (2 * n_in)
            out[o, min(folded, 2 * n_in - 1 - folded)] += weight
    return out


def bicubic(plane, width, height):
    out = matrix(plane.shape[0], height) @ plane @ matrix(plane.shape[1], width).T
    other = np.asarray(Image.fromarray(plane.astype(np.float32)).resize((width, height), Image.BICUBIC))
    edge_y, edge_x = [int(np.ceil(3 * max(1, b / a))) for a, b in zip(plane.shape, (height, width))]
    inner = (slice(edge_y, -edge_y), slice(edge_x, -edge_x))
    assert out[inner].size and np.abs(out[inner] - other[inner]).max() < 1e-2, (width, height)
    return out.ravel()[::5].round(4).tolist()  # every fifth value


a, b = picture(37, 29, 1), picture(37, 29, 2)
plane = picture(36, 28, 1)[:, :, 1].astype(np.float64)
golden = {
    "luma": luma(a).ravel()[:200].round(6).tolist(),
    "psnr_y": psnr(luma(a), luma(b)),
    "psnr_rgb": psnr(a, b),
    "psnr_y_crop4": psnr(luma(a)[4:-4, 4:-4], luma(b)[4:-4, 4:-4]),
    "ssim_y": ssim(luma(a), luma(b)),
    "ssim_rgb": ssim(a.astype(np.float64), b.astype(np.float64), channel_axis=2),
    "down4": bicubic(plane, 9, 7),
    "down3": bicubic(plane, 12, 10),
    "up2": bicubic(plane, 72, 56),
    "up4": bicubic(plane, 144, 112),
    "odd": bicubic(plane, 17, 13),
}
pathlib.Path(__file__).with_name("metrics.json").write_text(json.dumps(golden) + "\n")
