/**
 * The HTTP server: OpenAI's API, SGLang's native one, metrics and a page, around one
 * {@link dev.gyre.model.engine.Engine}. {@link dev.gyre.launcher.server.ApiServer} has the routes, an endpoint a class;
 * a {@link dev.gyre.launcher.server.Call} is one request and its answer. Uses the JDK's HTTP server and the model
 * module; reads no settings of the process.
 */
package dev.gyre.launcher.server;
