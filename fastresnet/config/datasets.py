"""Facts about each data set that are known before its files are read. Does not import torch.

A digest covers the decoded images, not the files: see `images.content_digest`. The same data set therefore passes whether
it came as torchvision's official files, as Hugging Face Parquet shards or from a Linux distribution's package.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetSpec:
    """Shape, classes and expected content of a data set.

    `mean` and `std` are the training set's channel statistics for pixels scaled to [0, 1]. A digest of None means that the
    expected digest is unknown. The files are then checked one by one, against torchvision's md5 sums or a SHA256SUMS list.
    The digest found is written into every record.
    """

    name: str
    title: str
    channels: int
    image_size: int
    class_names: tuple[str, ...]
    num_train: int
    num_test: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train_digest: str | None
    test_digest: str | None
    licence: str
    torchvision_class: str | None = None
    parquet_folders: tuple[str, ...] = ()
    label_column: str = "label"

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


_CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR100 = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle "
    "caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant "
    "flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man "
    "maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree "
    "plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail "
    "snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout "
    "tulip turtle wardrobe whale willow_tree wolf woman worm"
)

SPECS: dict[str, DatasetSpec] = {
    spec.name: spec
    for spec in (
        DatasetSpec(
            name="fashion-mnist",
            title="FashionMNIST",
            channels=1,
            image_size=28,
            class_names=_CLOTHES,
            num_train=60_000,
            num_test=10_000,
            mean=(0.2860,),
            std=(0.3530,),
            train_digest="9d8bba5a2e1784b58991187187b4710f1db23a9215881bd89569778417284999",
            test_digest="2cea0eb20ae4bcb3ea1dfa67fed8b89fc540a9042af63166dc17287cdc6cd9b5",
            licence="MIT, Zalando SE",
            torchvision_class="FashionMNIST",
            parquet_folders=("fashion_mnist", "fashion-mnist", "FashionMNIST"),
        ),
        DatasetSpec(
            name="cifar10",
            title="CIFAR-10",
            channels=3,
            image_size=32,
            class_names=_OBJECTS,
            num_train=50_000,
            num_test=10_000,
            mean=(0.4914, 0.4822, 0.4465),
            std=(0.2470, 0.2435, 0.2616),
            train_digest="708d2287169e2ecb8b73761251e992bb9fee0c8e96f812cf4b675e1ff95b24c4",
            test_digest="586442402911fff9c25bcce5a6606aa95de426d13d67e7f566df96e08c87b6a2",
            licence="no licence stated; cite Krizhevsky (2009)",
            torchvision_class="CIFAR10",
            parquet_folders=("cifar10", "cifar-10"),
        ),
        DatasetSpec(
            name="cifar100",
            title="CIFAR-100",
            channels=3,
            image_size=32,
            class_names=tuple(_CIFAR100.split()),
            num_train=50_000,
            num_test=10_000,
            mean=(0.5071, 0.4865, 0.4409),
            std=(0.2673, 0.2564, 0.2762),
            train_digest=None,
            test_digest=None,
            licence="no licence stated; cite Krizhevsky (2009)",
            torchvision_class="CIFAR100",
            parquet_folders=("cifar100", "cifar-100"),
            label_column="fine_label",
        ),
        DatasetSpec(
            name="fashion-sample",
            title="FashionMNIST sample",
            channels=1,
            image_size=28,
            class_names=_CLOTHES,
            num_train=4_000,
            num_test=1_000,
            mean=(0.2860,),
            std=(0.3530,),
            train_digest="cdbbdfb26b09d20d399fbc566dfe3b8b176b89763070e28cbb4517e428dcc616",
            test_digest="1fac6689534415290cda8b102b1af8b9920b82c1eb1ff74a7552ef4b664cb160",
            licence="MIT, Zalando SE; ships inside the package",
        ),
        DatasetSpec(
            name="cifar10-standin",
            title="CIFAR-10 stand-in (procedural, not photographs)",
            channels=3,
            image_size=32,
            class_names=tuple(f"texture {index}" for index in range(10)),
            num_train=4_000,
            num_test=1_000,
            mean=(0.5, 0.5, 0.5),
            std=(0.25, 0.25, 0.25),
            train_digest="a6d235abec4ebaef9591d179705107836981dcf186a6ce48e7b05c6fde808810",
            test_digest="91443a0766c7a5bced92e96e7a6ab64957ac77e6c828886256c21e2166f7b534",
            licence="MIT; drawn by a formula when asked for",
        ),
    )
}
