"""Whether rows, descriptors, frames and index agree, and mending what does not."""
