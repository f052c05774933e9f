/**
 * The model, written once: decoder layers that call {@link dev.gyre.model.ops.Ops} and know neither caches nor threads
 * nor devices. Reads like the equations of DeepSeek-V3 (arXiv 2412.19437) and V3.2 (arXiv 2512.02556).
 */
package dev.gyre.model.layers;
