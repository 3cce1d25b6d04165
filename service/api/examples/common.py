"""What examples have in common, so that they tell one story: the same ids stand for the same things everywhere.

The gallery knows Ann, whom gate 3 saw (`OTHER_ID`). Whom gate 2 sees (`TRACKLET_ID`) is found to be her, and is not the
person of a third tracklet (`STRANGER_ID`). Ann's tracklet came from `MERGED_ID`, an identity that was merged into hers.
"""

from typing import Any

TRACKLET_ID = "72233e4c-fe6e-4840-9ad0-e6d99d217bc4"
OTHER_ID = "244223f2-ea6f-412a-bb28-37746f6c5d56"
STRANGER_ID = "1c177027-d100-4c33-b138-5c5adaedcc10"
IDENTITY_ID = "5d0c5f0e-3b8e-4a54-9a3a-0c1f6f6f7d11"
MERGED_ID = "b7f6b0c4-6d0a-4f6e-8f4e-2a7d3c9e5a20"
CALIBRATION_ID = "c3a1f2d4-9b7e-4d55-8c2e-7e1f0a6b9d33"
MATCH_ID = "f0a9b0de-6c7d-49a9-9f0d-5f3f0f5f6b44"
JOB_ID = "0a1c8e52-8d0e-4b0e-9c50-0d6c1b2c9f10"
KEY_ID = "24c262bd-55af-43a8-8a11-8a37779af5c6"
MODEL_ID = "2c92e79eee536cb2fe5eea0184b858e3725bad7dcd19eb58da1f32d1277d99cc"

AT = "2026-11-23T22:46:18.222352Z"
TRACKLETS = 4711
GENERATION = 2
MERGE_EVENT = 7
SCORE = 0.8947

MODEL: dict[str, Any] = {"id": MODEL_ID, "name": "tfclip-demo", "trained": True, "demo": True}
