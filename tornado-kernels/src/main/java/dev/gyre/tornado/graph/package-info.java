/**
 * What runs on the device, as data before it is a task graph: calls of kernels with their arguments, grids and local
 * memory, and which arrays go where and when. A description can be checked without a device; names and grids have one
 * place. Uses TornadoVM's API and nothing of ours but the module's exception.
 */
package dev.gyre.tornado.graph;
