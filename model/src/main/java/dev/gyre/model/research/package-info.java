/**
 * What a selection loses: recall of the indexer's choice, attention mass kept, overlap between layers and steps;
 * measured while a model runs. Uses the model and the operations of attention; nothing below uses it.
 */
package dev.gyre.model.research;
