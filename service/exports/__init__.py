"""Recipe files for production, made from sweeps and written for Meltpoint and for other training programs."""

from service.exports.documents import describe_score, headline, load_recipe, write_recipe
from service.exports.formats import format_recipe
from service.exports.recipe_files import ExpectedScore, Interval, RecipeFile
from service.exports.schema import recipe_schema
from service.exports.sweep_recipes import make_recipe_file

__all__ = [
    "ExpectedScore",
    "Interval",
    "RecipeFile",
    "describe_score",
    "format_recipe",
    "headline",
    "load_recipe",
    "make_recipe_file",
    "recipe_schema",
    "write_recipe",
]
