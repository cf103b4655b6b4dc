"""Trains missing runs elsewhere than in this process: by the workers of a Dask cluster, on this machine, on
machines where somebody has started one, or in the jobs of a SLURM cluster. Free of torch and, until it is asked for, of Dask.
"""

from fastresnet.study.cluster.spreading import ClusterLost, train_with_dask

__all__ = ["ClusterLost", "train_with_dask"]
