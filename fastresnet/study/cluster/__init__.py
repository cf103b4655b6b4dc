"""Trains missing runs on the workers of a Dask cluster: on this machine, at a scheduler's address, or in jobs of SLURM.
Free of torch; Dask is loaded on first use.
"""

from fastresnet.study.cluster.spreading import ClusterLost, train_with_dask

__all__ = ["ClusterLost", "train_with_dask"]
