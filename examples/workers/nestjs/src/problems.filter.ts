import { Catch, RpcExceptionFilter } from "@nestjs/common";
import { RpcException } from "@nestjs/microservices";
import { throwError } from "rxjs";

/** Says why a task failed. Without it, NestJS answers "Internal server error" for all but an RpcException. */
@Catch()
export class ProblemsFilter implements RpcExceptionFilter<Error> {
  catch(error: Error) {
    const known = error instanceof RpcException ? error.getError() : { status: 500, detail: error.message };
    return throwError(() => known);
  }
}
