"""Networks: the study's ResNet."""
