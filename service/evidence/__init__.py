"""What an answer rests on: frames beside frames, where the network looked, and whether a tracklet is of one person."""
