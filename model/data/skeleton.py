"""Where the joints of a walking person are, and where they fall in a picture.

The body's own axes are right, forward and up, in fractions of the standing height, with the origin on the ground
between the feet.
"""

import math
from dataclasses import dataclass
from typing import Literal

from model.data.appearance import Body, Gait

SHOULDER = 0.815
_ANKLE, _UPPER_ARM, _FOREARM = 0.045, 0.165, 0.15
_KNEE_BEND = 0.85

Point = tuple[float, float, float]
Arms = Literal["swing", "pocket", "phone"]


@dataclass(frozen=True)
class Pose:
    """How the person stands in one frame.

    Attributes:
        phase: of the walking cycle, radians.
        facing: radians; 0 looks at the camera, pi/2 walks to the right of the picture, pi shows the back.
        elevation: radians by which the camera looks down.
        arms: what the right arm does.
    """

    phase: float
    facing: float
    elevation: float
    arms: Arms = "swing"


@dataclass(frozen=True)
class View:
    """Where a body point falls in the picture.

    Attributes:
        scale: pixels of the standing height.
        origin: pixel of the ground between the feet.
    """

    pose: Pose
    scale: float
    origin: tuple[float, float]

    def at(self, point: Point) -> tuple[float, float]:
        """Return the pixel of a body point."""
        right, forward, up = point
        across = forward * math.sin(self.pose.facing) - right * math.cos(self.pose.facing)
        down = self.nearness(point) * math.sin(self.pose.elevation) - up
        return self.origin[0] + across * self.scale, self.origin[1] + down * self.scale

    def nearness(self, point: Point) -> float:
        """Return how much closer to the camera the point is than the middle of the body."""
        return point[1] * math.cos(self.pose.facing) + point[0] * math.sin(self.pose.facing)


@dataclass(frozen=True)
class Skeleton:
    """The joints of one pose, left before right.

    Attributes:
        legs: hip, knee, ankle and toe.
        arms: shoulder, elbow and hand.
        drop: how far the whole body has to come down for the lower foot to touch the ground.
    """

    legs: tuple[tuple[Point, Point, Point, Point], ...]
    arms: tuple[tuple[Point, Point, Point], ...]
    drop: float


def stand(body: Body, gait: Gait, pose: Pose) -> Skeleton:
    """Return the joints of a person who walks as `gait` says, at `pose.phase` of the cycle."""
    legs, arms = [], []
    bone = (body.legs - _ANKLE) / 2
    for side, phase in ((-1, pose.phase), (1, pose.phase + math.pi)):
        swing = gait.stride * math.sin(phase)
        bend = 0.08 + _KNEE_BEND * max(0.0, math.cos(phase)) * gait.stride / 0.45
        hip: Point = (side * body.hips * 0.5, 0.0, body.legs)
        knee = _reach((side * (body.hips * 0.25 + gait.stance * 0.5), *hip[1:]), bone, swing)
        ankle = _reach((side * gait.stance, *knee[1:]), bone, swing - bend)
        lifted = 0.5 * max(0.0, bend - 0.3)
        toe: Point = (ankle[0] + side * 0.012, ankle[1] + 0.075 * math.cos(lifted), ankle[2] - 0.025 - 0.05 * lifted)
        legs.append((hip, knee, ankle, toe))
    for side, phase in ((-1, pose.phase + math.pi), (1, pose.phase)):
        swing, elbow_bend = gait.arms * math.sin(phase), 0.3
        if side == 1 and pose.arms != "swing":
            swing, elbow_bend = (-0.25, 0.75) if pose.arms == "pocket" else (0.45, 1.9)
        shoulder: Point = (side * body.shoulders * 0.93, gait.lean, SHOULDER - 0.02)
        elbow = _reach((side * (body.shoulders + 0.012), *shoulder[1:]), _UPPER_ARM, swing)
        arms.append((shoulder, elbow, _reach(elbow, _FOREARM, swing + elbow_bend)))
    drop = min(min(toe[2], ankle[2] - 0.03) for _, _, ankle, toe in legs) - 0.012
    return Skeleton(tuple(legs), tuple(arms), drop)


def _reach(start: Point, length: float, angle: float) -> Point:
    """Return the end of a limb that hangs from `start`, swung forward by `angle` radians."""
    return start[0], start[1] + length * math.sin(angle), start[2] - length * math.cos(angle)
