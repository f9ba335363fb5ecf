"""All doors by name, in the order of the table."""

from tests.hostile import (
    callers,
    clients,
    commands,
    configured,
    folders,
    hdf5,
    images,
    network,
    pickles,
    result_sets,
    stored,
    texts,
    videos,
    weights,
)
from tests.hostile.kinds import Door

DOORS: dict[str, Door] = {
    door.name: door
    for door in (
        images.DOOR,
        videos.DOOR,
        texts.TRUTH,
        texts.RESULTS,
        texts.LISTED,
        weights.NPZ,
        weights.MAT,
        pickles.PTH,
        hdf5.H5,
        network.ARCHIVES,
        network.SERVERS,
        clients.TRAX,
        stored.RECORDS,
        stored.RESPONSES,
        stored.PUBLISHED,
        result_sets.FOLDERS,
        folders.SETS,
        folders.LISTS,
        configured.CONFIGS,
        commands.FLAGS,
        commands.COMMANDS,
        callers.PYTHON,
        callers.EXPORTED,
    )
}
