#!/usr/bin/env python3
"""Photographs of clear licence -> short moving clips to train on, as folders of PNG frames.

Enters: folders that hold the pictures listed in PICTURES (any depth). Leaves: OUT/train/NAME-000/0.png ... and
OUT/valid/..., decided by the seed alone. Never: a picture that is not in the list, or a film.

A clip is a window of a photograph under a camera that pans, turns and zooms by fractions of a pixel, with pieces of
other photographs moving over it now and then; some are out of focus, wholly or behind the pieces, some are grainy or
have been through JPEG, as footage has. Frames are sampled at twice their size and averaged, so that a pixel sees its area.

    pip install numpy==2.4.6 pillow==13.0.0 scikit-image==0.26.0 scikit-learn==1.9.1 matplotlib==3.11.2
    apt-get download lomiri-wallpapers-16.04 && dpkg-deb -x lomiri-wallpapers-16.04_*.deb lomiri
    git clone https://github.com/BuddiesOfBudgie/budgie-backgrounds budgie   # at 82067426f1dd
    ./make.py clips --pictures lomiri budgie $(python -c 'import skimage, sklearn, matplotlib as m; print(*(p.__path__[0] for p in (skimage, sklearn, m)))')
"""

import argparse
import io
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

# Picture: (author, licence, where it comes from). Those marked * are held out for validation. The pictures of
# budgie-backgrounds are CC0 by its LICENSE and README; those of lomiri-wallpapers by the package's debian/copyright (its
# share-alike ones are left out); those of scikit-image by the docstrings of skimage.data, of scikit-learn by the README
# beside them. The portrait of Grace Hopper is a work of the U.S. government.
BUDGIE = "budgie-backgrounds 82067426"
LOMIRI = "Debian lomiri-wallpapers-16.04 20.04.0-2"
SKIMAGE = "scikit-image 0.26.0"
PICTURES = {
    "abstract-spiral.jpg": ("Buddies of Budgie", "CC0", BUDGIE),
    "beacon-street-sunset.jpg": ("Buddies of Budgie", "CC0", BUDGIE),
    "blue-periwinkle.jpg": ("Buddies of Budgie", "CC0", BUDGIE),
    "canyon-wren.jpg": ("Buddies of Budgie", "CC0", BUDGIE),
    "casa-mila.jpg": ("Buddies of Budgie", "CC0", BUDGIE),
    "extreme-desert-hike.jpg": ("Buddies of Budgie", "CC0", BUDGIE),
    "high-trestle-trail.jpg": ("Buddies of Budgie", "CC0", BUDGIE),
    "lake-sherburne.jpg": ("Buddies of Budgie", "CC0", BUDGIE),
    "oakland-zoo-otters.jpg": ("Buddies of Budgie", "CC0", BUDGIE),
    "ocean-waves.jpg": ("Buddies of Budgie", "CC0", BUDGIE),
    "perched-osprey.jpg*": ("Buddies of Budgie", "CC0", BUDGIE),
    "piazza-gae-aulenti.jpg": ("Buddies of Budgie", "CC0", BUDGIE),
    "roman-colosseum.jpg": ("Buddies of Budgie", "CC0", BUDGIE),
    "singaporean-cityscape.jpg": ("Buddies of Budgie", "CC0", BUDGIE),
    "tea-gardens.jpg": ("Buddies of Budgie", "CC0", BUDGIE),
    "the-spices-of-life.jpg": ("Buddies of Budgie", "CC0", BUDGIE),
    "valley-midnight.jpg": ("Buddies of Budgie", "CC0", BUDGIE),
    "Picture_0B_by_freespace.jpg": ("Trevor \"Freespace\"", "CC BY 4.0", LOMIRI),
    "Picture_1A_by_freespace.jpg": ("Trevor \"Freespace\"", "CC BY 4.0", LOMIRI),
    "Wine_by_Jakkub_Mede.jpg": ("Jakub Mede", "CC BY 4.0", LOMIRI),
    "aitzgorri_by_Aitzol_Berasategi.jpg*": ("Aitzol Berasategi", "CC BY 4.0", LOMIRI),
    "friends_by_Aitzol_Berasategi.jpg": ("Aitzol Berasategi", "CC BY 4.0", LOMIRI),
    "life_by_Aitzol_Berasategi.jpg": ("Aitzol Berasategi", "CC BY 4.0", LOMIRI),
    "picosdeeuropa_by_Aitzol_Berasategi.jpg": ("Aitzol Berasategi", "CC BY 4.0", LOMIRI),
    "seeding_by_Clements_Engelhardt.jpg": ("Clemens Engelhardt", "CC0", LOMIRI),
    "sunset_by_Aitzol_Berasategi.jpg": ("Aitzol Berasategi", "CC BY 4.0", LOMIRI),
    "astronaut.png": ("NASA", "public domain", SKIMAGE),
    "brick.png": ("CC0Textures", "CC0", SKIMAGE),
    "camera.png": ("Lav Varshney", "CC0", SKIMAGE),
    "chelsea.png": ("Stéfan van der Walt", "CC0", SKIMAGE),
    "coffee.png*": ("Rachel Michetti", "CC0", SKIMAGE),
    "grass.png": ("CC0Textures", "CC0", SKIMAGE),
    "gravel.png": ("CC0Textures", "CC0", SKIMAGE),
    "hubble_deep_field.jpg": ("NASA", "public domain", SKIMAGE),
    "rocket.jpg": ("SpaceX", "public domain", SKIMAGE),
    "china.jpg": ("danielbuechele", "CC BY 2.0", "scikit-learn 1.9.1"),
    "flower.jpg": ("vultilion", "CC BY 2.0", "scikit-learn 1.9.1"),
    "grace_hopper.jpg": ("U.S. Navy", "public domain", "matplotlib 3.11.2"),
}

FRAMES = 5


class Photo:
    """A picture, and smaller copies of it so that no sampling skips pixels."""

    def __init__(self, path):
        image = Image.open(path).convert("RGB")
        self.levels = [image]
        while min(self.levels[-1].size) >= 600:
            w, h = self.levels[-1].size
            self.levels.append(self.levels[-1].resize((w // 2, h // 2), Image.LANCZOS))

    @property
    def shorter(self):
        return min(self.levels[0].size)

    def at(self, zoom):
        """The level that has one to two of its pixels for each pixel of the clip, and how many."""
        i = min(max(int(math.log2(zoom)), 0), len(self.levels) - 1)
        return self.levels[i], self.levels[0].size[0] / self.levels[i].size[0]


def speed(rng, fastest):
    """Mostly slow, now and then fast: pixels a frame."""
    length, angle = fastest * rng.random() ** 2, rng.uniform(0, math.tau)
    return length * math.cos(angle), length * math.sin(angle)


class Motion:
    """Clip pixels -> source pixels: a centre that drifts, an angle and a zoom that change."""

    def __init__(self, rng, centre, zoom, fastest):
        still = rng.random() < 0.12
        self.centre, self.zoom = centre, zoom
        self.velocity = (0, 0) if still else speed(rng, fastest)
        turns = not still and rng.random() < 0.45
        self.angle, self.spin = rng.uniform(-0.06, 0.06), 0.012 * rng.normal() if turns else 0
        self.growth = 0.012 * rng.normal() if turns else 0

    def matrix(self, time, size, about):
        """PIL's affine numbers for a picture of twice `size`, whose point `about` looks at the centre."""
        zoom = self.zoom * (1 + self.growth) ** time
        c, s = math.cos(self.angle + self.spin * time), math.sin(self.angle + self.spin * time)
        a, b = zoom * c / 2, -zoom * s / 2
        x = self.centre[0] + self.velocity[0] * time * self.zoom
        y = self.centre[1] + self.velocity[1] * time * self.zoom
        u, v = 2 * about[0], 2 * about[1]
        return (a, b, x - a * u - b * v, -b, a, y + b * u - a * v)


def look(image, matrix, size, fill=None):
    big = image.transform((2 * size, 2 * size), Image.AFFINE, matrix, Image.BICUBIC, fillcolor=fill)
    return big.reduce(2)


def blob(rng, size):
    """A mask of one smooth or angular shape in the middle of a square."""
    mask = Image.new("L", (size, size), 0)
    n = int(rng.integers(3, 9)) if rng.random() < 0.5 else 40
    wobble = [0.45 + 0.3 * math.sin(k * 2.4 + rng.uniform(0, 6)) * rng.random() for k in range(3)]
    points = []
    for i in range(n):
        angle = math.tau * i / n
        radius = 0.3 + 0.17 * sum(w * math.sin((k + 1) * angle + 5 * w) for k, w in enumerate(wobble))
        points.append((size * (0.5 + radius * math.cos(angle)), size * (0.5 + radius * math.sin(angle))))
    ImageDraw.Draw(mask).polygon(points, fill=255)
    return mask


class Layer:
    """A part of a photograph under its own motion; with a mask it is a piece that lies over others."""

    def __init__(self, rng, photo, size, fastest, piece=None):
        # Large photographs are soft at their full size.
        widest = min(photo.shorter / (size * 1.35), 7.0)
        finest = min(1.5 if photo.shorter > 1500 else 1.0, widest)
        zoom = math.exp(rng.uniform(math.log(finest), math.log(widest)))
        level, factor = photo.at(zoom)
        zoom /= factor
        margin = zoom * (size * 0.62)
        w, h = level.size
        tries = [(rng.uniform(margin, max(w - margin, margin + 1)), rng.uniform(margin, max(h - margin, margin + 1)))
                 for _ in range(3)]
        centre = max(tries, key=lambda c: detail(level, c, margin)) if rng.random() < 0.8 else tries[0]
        self.image, self.size, self.piece = level, size, piece
        self.motion = Motion(rng, centre, zoom, fastest)
        self.about = (size / 2, size / 2)
        if piece:
            # The piece moves over the clip, its picture with it.
            self.about = (rng.uniform(0.1, 0.9) * size, rng.uniform(0.1, 0.9) * size)
            self.drift = speed(rng, 4)
            extent = int(piece * size * 2)
            x, y = (int(c - extent * zoom / 4) for c in centre)
            side = max(int(extent * zoom / 2), 8)
            self.image = level.crop((x, y, x + side, y + side))
            self.image.putalpha(blob(rng, side))
            self.motion.centre = (side / 2, side / 2)
            self.motion.velocity = (0, 0)

    def frame(self, time):
        about = self.about
        if self.piece:
            about = (about[0] + self.drift[0] * time, about[1] + self.drift[1] * time)
        return look(self.image, self.motion.matrix(time, self.size, about), self.size)


def detail(image, centre, margin):
    box = [int(v) for v in (centre[0] - margin, centre[1] - margin, centre[0] + margin, centre[1] + margin)]
    grey = np.asarray(image.crop(box).resize((64, 64)).convert("L"), np.float32)
    return np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()


def clip(rng, photo, others):
    size = 256 if photo.shorter > 700 else 160
    layers = [Layer(rng, photo, size, 4)]
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2])):
        layers.append(Layer(rng, others[rng.integers(len(others))], size, 0, piece=rng.uniform(0.25, 0.8)))
    behind = rng.uniform(0.7, 3.0) if len(layers) > 1 and rng.random() < 0.3 else 0
    focus = rng.uniform(0.4, 2.2) if rng.random() < 0.22 else 0
    grain = rng.uniform(0.5, 4.0) if rng.random() < 0.2 else 0
    quality = int(rng.integers(72, 96)) if rng.random() < 0.3 else 0
    gamma = math.exp(rng.normal() * 0.15)
    contrast = rng.uniform(0.75, 1.1)
    for i in range(FRAMES):
        time = i - (FRAMES - 1) / 2
        frame = layers[0].frame(time)
        if behind:
            frame = frame.filter(ImageFilter.GaussianBlur(behind))
        for layer in layers[1:]:
            over = layer.frame(time)
            frame.paste(over, (0, 0), over)
        if focus:
            frame = frame.filter(ImageFilter.GaussianBlur(focus))
        x = (np.asarray(frame, np.float32) / 255) ** gamma
        x = 255 * (0.5 + (x - 0.5) * contrast)
        x += grain * rng.normal(size=x.shape[:2] + (1,)) * rng.uniform(0.9, 1.1)
        frame = Image.fromarray(np.clip(np.round(x), 0, 255).astype(np.uint8))
        if quality:
            packed = io.BytesIO()
            frame.save(packed, "JPEG", quality=quality)
            frame = Image.open(packed).convert("RGB")
        yield frame


def find(folders):
    found = {}
    for marked in PICTURES:
        name = marked.rstrip("*")
        paths = [p for folder in folders for p in Path(folder).rglob(name)]
        if not paths:
            raise SystemExit(f"error: {name} ({PICTURES[marked][2]}) is in none of {', '.join(folders)}")
        found[marked] = paths[0]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--pictures", nargs="+", required=True)
    parser.add_argument("--clips", type=int, default=40, help="of each photograph; of small ones a quarter")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.clips < 4:
        raise SystemExit("error: --clips needs 4 or more: small photographs get a quarter of them")
    photos = {name: Photo(path) for name, path in find(args.pictures).items()}
    for number, (name, photo) in enumerate(photos.items()):
        part = "valid" if name.endswith("*") else "train"
        others = [p for n, p in photos.items() if n.endswith("*") == name.endswith("*")]
        n = args.clips if photo.shorter > 700 else args.clips // 4
        for k in range(n if part == "train" else max(n // 5, 2)):
            rng = np.random.default_rng([args.seed, number, k])
            folder = args.out / part / f"{Path(name).stem}-{k:03}"
            folder.mkdir(parents=True, exist_ok=True)
            for i, frame in enumerate(clip(rng, photo, others)):
                frame.save(folder / f"{i}.png", compress_level=1)
        print(f"{number + 1}/{len(photos)} {name}", flush=True)


if __name__ == "__main__":
    main()
