"""From bytes on a disk to batches on a device: specs, sources, images, augment, batches."""
