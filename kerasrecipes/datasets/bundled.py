"""The five real data sets that come with scikit-learn: no network, no files.

Each loader returns `(x_train, y_train), (x_test, y_test)` for one of the folds
that `kerasrecipes.datasets.folds` draws.
"""

import functools

import numpy as np
from sklearn import datasets

from kerasrecipes.datasets.folds import fold_indices

BUNDLED = {
    "breast_cancer": datasets.load_breast_cancer,
    "diabetes": functools.partial(datasets.load_diabetes, scaled=False),
    "digits": datasets.load_digits,
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
}


def load_digits(examples=None, fold=0, flat=False):
    """Handwritten digits: 1,797 small grey images in ten classes.

    A pixel counts the dark dots in a block of 4 x 4, here divided by 16. The
    images come from 13 writers, whom the folds do not keep apart. The classes
    have 174 to 183 images each.

    Chance level: an accuracy of 0.102, the share of the most frequent class.

    Baseline: an accuracy of 0.967, the mean over the folds 0 to 9 of
    scikit-learn's `LogisticRegression(max_iter=1000)` on standardised pixels.

    Args:
        examples: integer, how many images to train on, from 10 to the size of
            the training part (1,617 or 1,618). They hold the classes in their
            shares, and a smaller subset lies within every larger one of its
            fold. Defaults to `None`: all of them.
        fold: non-negative integer, as a rule the seed of a trial. Seed `s`
            tests on fold `s % 10` of shuffle number `s // 10`. Defaults
            to `0`.
        flat: boolean, whether an image is a row of 64 pixels rather than a
            grid. Defaults to `False`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: `x` is float32 in [0, 1] of
        shape `(n, 8, 8, 1)`, or `(n, 64)` if `flat`; `y` is int32 of shape
        `(n,)`, the digit from 0 to 9.

    Raises:
        ValueError: if `examples` or `fold` is no integer or out of range.

    Reference:
        - [Alpaydin and Kaynak, 1998](https://doi.org/10.24432/C50P49)
    """
    (x_train, y_train), (x_test, y_test) = _load("digits", examples, fold)
    shape = (-1, 64) if flat else (-1, 8, 8, 1)
    x_train, x_test = x_train.reshape(shape) / 16, x_test.reshape(shape) / 16
    return (x_train, y_train), (x_test, y_test)


def load_iris(examples=None, fold=0):
    """Iris flowers: 150 plants of three species, measured in centimetres.

    The columns are the length and width of the sepals, then of the petals.
    The classes are setosa, versicolor and virginica, 50 plants each; setosa
    lies apart, the other two overlap.

    Chance level: an accuracy of 0.333, the share of the most frequent class.

    Baseline: an accuracy of 0.953, the mean over the folds 0 to 9 of
    scikit-learn's `LogisticRegression(max_iter=1000)` on standardised columns.

    Args:
        examples: integer, how many plants to train on, from 3 to 135, the
            size of the training part. They hold the classes in their shares,
            and a smaller subset lies within every larger one of its fold.
            Defaults to `None`: all of them.
        fold: non-negative integer, as a rule the seed of a trial. Seed `s`
            tests on fold `s % 10` of shuffle number `s // 10`. Defaults
            to `0`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: `x` is float32 of shape
        `(n, 4)`, from 0.1 to 7.9 cm; `y` is int32 of shape `(n,)`, the class
        0, 1 or 2.

    Raises:
        ValueError: if `examples` or `fold` is no integer or out of range.

    Reference:
        - [Fisher, 1936](https://doi.org/10.1111/j.1469-1809.1936.tb02137.x)
    """
    return _load("iris", examples, fold)


def load_wine(examples=None, fold=0):
    """Wine: the chemical analysis of 178 wines of three grape varieties.

    Thirteen columns, raw and on very different scales: from phenols between
    0.13 and 0.66 to proline between 278 and 1,680. The first is alcohol in
    per cent; the source names no unit for the others. The classes have 59, 71
    and 48 wines.

    Chance level: an accuracy of 0.399, the share of the most frequent class.

    Baseline: an accuracy of 0.983, the mean over the folds 0 to 9 of
    scikit-learn's `LogisticRegression(max_iter=1000)` on standardised columns.

    Args:
        examples: integer, how many wines to train on, from 3 to the size of
            the training part (160 or 161). They hold the classes in their
            shares, and a smaller subset lies within every larger one of its
            fold. Defaults to `None`: all of them.
        fold: non-negative integer, as a rule the seed of a trial. Seed `s`
            tests on fold `s % 10` of shuffle number `s // 10`. Defaults
            to `0`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: `x` is float32 of shape
        `(n, 13)`, from 0.13 to 1,680; `y` is int32 of shape `(n,)`, the
        variety 0, 1 or 2.

    Raises:
        ValueError: if `examples` or `fold` is no integer or out of range.

    Reference:
        - [Aeberhard and Forina, 1992](https://doi.org/10.24432/C5PC7J)
    """
    return _load("wine", examples, fold)


def load_breast_cancer(examples=None, fold=0):
    """Breast cancer: the cell nuclei of 569 tumours, malignant or benign.

    Ten measures of the nuclei in an image of a needle biopsy (radius, texture,
    perimeter, area, smoothness, compactness, concavity, concave points,
    symmetry, fractal dimension), in three blocks of ten columns: their means,
    their standard errors, and the means of their three largest values. They
    are raw; the source names no units. Class 0 is malignant (212 tumours),
    class 1 benign (357): mind that the class one wants to find is number 0.

    Chance level: an accuracy of 0.627, the share of the most frequent class.

    Baseline: an accuracy of 0.977, the mean over the folds 0 to 9 of
    scikit-learn's `LogisticRegression(max_iter=1000)` on standardised columns.

    Args:
        examples: integer, how many tumours to train on, from 2 to the size of
            the training part (512 or 513). They hold the classes in their
            shares, and a smaller subset lies within every larger one of its
            fold. Defaults to `None`: all of them.
        fold: non-negative integer, as a rule the seed of a trial. Seed `s`
            tests on fold `s % 10` of shuffle number `s // 10`. Defaults
            to `0`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: `x` is float32 of shape
        `(n, 30)`, from 0 to 4,254; `y` is int32 of shape `(n,)`, the class 0
        or 1.

    Raises:
        ValueError: if `examples` or `fold` is no integer or out of range.

    Reference:
        - [Wolberg et al., 1993](https://doi.org/10.24432/C5DW2B)
    """
    return _load("breast_cancer", examples, fold)


def load_diabetes(examples=None, fold=0):
    """Diabetes: how far the illness of 442 patients went on in one year.

    The columns are raw, unlike scikit-learn's default: age in years, sex (1 or
    2), body mass index, mean blood pressure, and six blood values (total
    cholesterol, low and high density lipoproteins, the ratio of total to high,
    probably the logarithm of the triglycerides, sugar). The target is a score
    of the illness without a unit, from 25 to 346.

    Chance level: an RMSE of 77.0, the standard deviation of the target, which
    is the error of predicting its mean.

    Baseline: an RMSE of 54.5, the mean over the folds 0 to 9 of scikit-learn's
    `Ridge(alpha=1.0)` on standardised columns.

    Args:
        examples: integer, how many patients to train on, from 1 to the size
            of the training part (397 or 398). A smaller subset lies within
            every larger one of its fold. Defaults to `None`: all of them.
        fold: non-negative integer, as a rule the seed of a trial. Seed `s`
            tests on fold `s % 10` of shuffle number `s // 10`. Defaults
            to `0`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: `x` is float32 of shape
        `(n, 10)`, from 1 to 301; `y` is float32 of shape `(n,)`.

    Raises:
        ValueError: if `examples` or `fold` is no integer or out of range.

    Reference:
        - [Efron et al., 2004](https://doi.org/10.1214/009053604000000067)
    """
    return _load("diabetes", examples, fold)


def _load(name, examples, fold):
    """One fold of a data set; indexing copies, so that nothing is shared."""
    x, y = read_bundled(name)
    train, test = fold_indices(y, examples, fold)
    x = x.astype("float32")
    y = y.astype("int32" if np.issubdtype(y.dtype, np.integer) else "float32")
    return (x[train], y[train]), (x[test], y[test])


@functools.cache
def read_bundled(name):
    """Inputs and targets as scikit-learn has them, read once and read-only.

    Args:
        name: string, one of `BUNDLED`.

    Returns:
        Two arrays, `x` and `y`.
    """
    x, y = BUNDLED[name](return_X_y=True)
    x.flags.writeable = y.flags.writeable = False
    return x, y
